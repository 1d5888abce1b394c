"""Django as an ASGI application, with a request id, strict checks of requests, and limits on body size and time."""

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
from zenzefi.common.postgresql import database_time_limit

_django: Application = get_asgi_application()  # type: ignore[assignment]  # the stubs know no MutableMapping
_DATABASE_SECONDS = 8.0  # for one request
_TOO_LARGE = Denial("payload_too_large", 413, 1009, _("The request body is too large."))


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request by Django. `X-Request-ID` is in the response, and in all log records of the request."""
    given = dict(scope["headers"])
    identifier = request_id(given.get(b"x-request-id", b""))

    async def send_with_id(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"x-request-id", identifier)]
        await send(message)

    timeouts: list[Denied] = []
    with structlog.contextvars.bound_contextvars(request_id=identifier.decode()):
        try:
            check_form(scope["headers"], scope["http_version"])
            with database_time_limit(_DATABASE_SECONDS):
                await _django(*await _with_content_length(scope, _limit_body(scope, receive, timeouts)), send_with_id)
            if timeouts:
                raise timeouts[0]
        except Denied as denied:
            status, headers, body = denial_response(denied, given.get(b"accept-language", b""))
            if (b"connection", b"close") not in headers:
                headers.append((b"connection", b"close"))
            await send_with_id({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})


def _limit_body(scope: Scope, receive: Receive, timeouts: list[Denied]) -> Receive:
    """Return a `receive` that limits the body in size and time: Django reads all of it to disk before a view runs.

    It raises `Denied` for a body that is too large. If the client is too slow, it adds the denial to `timeouts` and
    returns a disconnect to Django.
    """
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    announced = int(declared) if declared.isdigit() and len(declared) < 19 else 0
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    counted, complete = 0, False

    async def receive_limited() -> MutableMapping[str, Any]:
        nonlocal counted, complete
        if announced > limit:
            raise Denied(_TOO_LARGE)
        try:
            # After the body, Django waits for the client to disconnect.
            async with asyncio.timeout(None if complete else settings.CLIENT_BODY_TIMEOUT):
                message = await receive()
        except TimeoutError:
            timeouts.append(Denied(REQUEST_TIMEOUT))
            return {"type": "http.disconnect"}
        complete = not message.get("more_body", False)
        counted += len(message.get("body", b""))
        if counted > limit:
            raise Denied(_TOO_LARGE)
        return message

    return receive_limited


async def _with_content_length(scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
    """Return the request with a `Content-Length`. Django ignores a chunked body, which has none."""
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
