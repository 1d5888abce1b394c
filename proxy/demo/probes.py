"""Routes that show what arrives at the server, or make it misbehave on demand."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count

from proxy.demo.exchange import HttpError, Request, Response, json_response

PLAIN_TEXT = ("content-type", "text/plain; charset=utf-8")
LARGEST_ECHO = 16 * 1024 * 1024
LONGEST_WAIT = 300.0
LONGEST_TARGET = 4096
SLOW_CHUNKS = 10


class TransferCutError(Exception):
    """Raised in the middle of a body so that the server drops the connection."""


async def health(request: Request) -> Response:
    """The server is up."""
    return json_response({"status": "ok"})


async def info(request: Request) -> Response:
    """What the first page shows about the server and the request."""
    return json_response(
        {
            "server": "Zenzefi demo server",
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "host": request.header("host"),
            "scheme": request.scope["scheme"],
            "client": request.scope["client"],
            "cookies": request.header("cookie"),
        }
    )


async def echo(request: Request) -> Response:
    """The request exactly as it arrived."""
    body = await _whole_body(request)
    return json_response(
        {
            "method": request.method,
            "path": request.scope["raw_path"].decode("latin-1"),
            "query": request.scope["query_string"].decode("latin-1"),
            "headers": request.headers,
            "body_base64": base64.b64encode(body).decode(),
            "body_length": len(body),
            "client": request.scope["client"],
        }
    )


async def _whole_body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.body():
        body += piece
        if len(body) > LARGEST_ECHO:
            raise HttpError(413, f"An echo holds up to {LARGEST_ECHO} bytes; /upload takes any number.")
    return bytes(body)


async def events(request: Request) -> Response:
    """Server-sent events; a count of 0 never ends."""
    interval = request.query.number("interval", 1.0, 0.01, 60.0)
    total = request.query.number("count", 0, 0, 1_000_000)
    headers = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))
    return Response(200, headers, _ticks(interval, total))


async def _ticks(interval: float, total: int) -> AsyncIterator[bytes]:
    for number in count(1):
        content = json.dumps({"number": number, "time": datetime.now(UTC).isoformat(timespec="milliseconds")})
        yield f"id: {number}\ndata: {content}\n\n".encode()
        if number == total:
            return
        await asyncio.sleep(interval)


async def slow(request: Request) -> Response:
    """A late answer, or one that arrives in pieces."""
    waits_elsewhere = "before" in request.query or "between" in request.query
    seconds = request.query.number("seconds", 0.0 if waits_elsewhere else 5.0, 0.0, LONGEST_WAIT)
    before = request.query.number("before", seconds, 0.0, LONGEST_WAIT)
    between = request.query.number("between", 0.0, 0.0, LONGEST_WAIT)
    return Response(200, (PLAIN_TEXT,), _slow_chunks(between), seconds_before=before)


async def _slow_chunks(between: float) -> AsyncIterator[bytes]:
    for number in range(1, SLOW_CHUNKS + 1):
        if number > 1:
            await asyncio.sleep(between)
        yield f"chunk {number} of {SLOW_CHUNKS}\n".encode()


async def status(request: Request) -> Response:
    """An answer with the status in the path."""
    if not re.fullmatch("[2-5][0-9]{2}", request.argument):
        raise HttpError(400, "The status must be a number from 200 to 599.")
    code = int(request.argument)
    if code in {204, 205, 304}:
        return Response(code)
    return json_response({"status": code}, code)


async def fail(request: Request) -> Response:
    """A body that breaks off."""
    headers = (("content-type", "application/octet-stream"), ("content-length", "1000"))
    return Response(200, headers, _cut_body())


async def _cut_body() -> AsyncIterator[bytes]:
    yield b"x" * 100
    raise TransferCutError("/fail was asked for: 100 of 1000 bytes sent.")


async def redirect(request: Request) -> Response:
    """A redirection to `to`, wherever that is."""
    target = request.query.get("to", "/")
    if not 0 < len(target) <= LONGEST_TARGET or not (target.isascii() and target.isprintable()):
        raise HttpError(400, f"to must be an address of 1 to {LONGEST_TARGET} printable ASCII characters.")
    return Response(302, (("location", target),))


async def cookies(request: Request) -> Response:
    """One cookie for each attribute that a proxy may have to rewrite."""
    domain = request.header("host").partition(":")[0]
    lines = (
        "plain=1",
        "everywhere=2; Path=/; HttpOnly; SameSite=Lax",
        "narrow=3; Path=/certificates; Max-Age=3600",
        f"domain=4; Domain={domain}; Path=/",
        "secure=5; Path=/; Secure; SameSite=None",
        "removed=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    )
    set_cookies = tuple(("set-cookie", line) for line in lines)
    return json_response({"received": request.header("cookie"), "set": lines}, headers=set_cookies)
