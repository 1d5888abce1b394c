"""Django as an ASGI application, with what its handler lacks: a request id, a strict reading of the request's form,
and limits on what it reads and for how long."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import structlog
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.utils.translation import gettext_lazy as _

from proxy.dataplane.asgi import Application, Receive, Scope, Send
from proxy.dataplane.denials.responses import denial_response, request_id
from proxy.dataplane.errors import REQUEST_TIMEOUT, Denial, Denied
from proxy.dataplane.rules.headers import check_form
from zenzefi.common.postgresql import answers_within

_django: Application = get_asgi_application()  # type: ignore[assignment]  # the stubs know no MutableMapping
_DATABASE_SECONDS = 8.0  # for one request
_TOO_LARGE = Denial("payload_too_large", 413, 1009, _("The request body is too large."))


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer through Django; `X-Request-ID` is on every answer and in every log line of the request."""
    given = dict(scope["headers"])
    identifier = request_id(given.get(b"x-request-id", b""))

    async def send_with_id(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"x-request-id", identifier)]
        await send(message)

    refused: list[Denied] = []
    with structlog.contextvars.bound_contextvars(request_id=identifier.decode()):
        try:
            check_form(scope["headers"], scope["http_version"])
            with answers_within(_DATABASE_SECONDS):
                await _django(*await _measured(scope, _limited(scope, receive, refused)), send_with_id)
            if refused:
                raise refused[0]
        except Denied as denied:
            status, headers, body = denial_response(denied, given.get(b"accept-language", b""))
            if (b"connection", b"close") not in headers:
                headers.append((b"connection", b"close"))
            await send_with_id({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})


def _limited(scope: Scope, receive: Receive, refused: list[Denied]) -> Receive:
    """`receive` that ends a body above the limit, or one that does not come: Django's handler reads all of it to disk
    before a view runs. Raises `Denied`; for one that does not come, Django is told that the client left."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    announced = int(declared) if declared.isdigit() and len(declared) < 19 else 0
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    counted, complete = 0, False

    async def receive_limited() -> MutableMapping[str, Any]:
        nonlocal counted, complete
        if announced > limit:
            raise Denied(_TOO_LARGE)
        try:
            # Once the body is there, Django listens for the client's end.
            async with asyncio.timeout(None if complete else settings.CLIENT_BODY_TIMEOUT):
                message = await receive()
        except TimeoutError:
            refused.append(Denied(REQUEST_TIMEOUT))
            return {"type": "http.disconnect"}
        complete = not message.get("more_body", False)
        counted += len(message.get("body", b""))
        if counted > limit:
            raise Denied(_TOO_LARGE)
        return message

    return receive_limited


async def _measured(scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
    """The request with a `Content-Length`: Django takes a chunked body, which has none, for no body at all."""
    if not any(name == b"transfer-encoding" for name, _value in scope["headers"]):
        return scope, receive
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    length = sum(len(message.get("body", b"")) for message in messages)
    received = iter(messages)

    async def receive_again() -> MutableMapping[str, Any]:
        return next(received, None) or await receive()

    return {**scope, "headers": [*scope["headers"], (b"content-length", b"%d" % length)]}, receive_again
