"""Routes that return the request, or that misbehave on demand."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from proxy.demo.query import query_number
from proxy.demo.responses import IndentedJSONResponse, Stream
from zenzefi.common.iso_times import iso_time

LARGEST_ECHO = 16 * 1024 * 1024
LONGEST_WAIT = 300.0
LONGEST_TARGET = 4096
SLOW_CHUNKS = 10


class TransferCutError(Exception):
    """Raised in the middle of a body to make the server drop the connection."""


async def health(_request: Request) -> Response:
    """Return 200."""
    return IndentedJSONResponse({"status": "ok"})


async def info(request: Request) -> Response:
    """Return what the first page shows about the server and the request."""
    return IndentedJSONResponse(
        {
            "server": "Zenzefi demo server",
            "time": iso_time(datetime.now(UTC), "seconds"),
            "host": request.headers.get("host", ""),
            "scheme": request["scheme"],
            "client": request.client,
            "cookies": request.headers.get("cookie", ""),
        }
    )


async def echo(request: Request) -> Response:
    """Return the request exactly as it arrived."""
    body = await _limited_body(request)
    return IndentedJSONResponse(
        {
            "method": request.method,
            "path": request["raw_path"].decode("latin-1"),
            "query": request["query_string"].decode("latin-1"),
            "headers": request.headers.items(),
            "body_base64": base64.b64encode(body).decode(),
            "body_length": len(body),
            "client": request.client,
        }
    )


async def _limited_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_ECHO:
            raise HTTPException(413, f"An echo holds up to {LARGEST_ECHO} bytes; /upload takes any number.")
    return bytes(body)


async def events(request: Request) -> Response:
    """Return server-sent events. A count of 0 never ends."""
    interval = query_number(request.query_params, "interval", 1.0, 0.01, 60.0)
    total = query_number(request.query_params, "count", 0, 0, 1_000_000)
    return Stream(_ticks(interval, total), headers={"cache-control": "no-cache"}, media_type="text/event-stream")


async def _ticks(interval: float, total: int) -> AsyncIterator[bytes]:
    for number in count(1):
        content = json.dumps({"number": number, "time": datetime.now(UTC).isoformat(timespec="milliseconds")})
        yield f"id: {number}\ndata: {content}\n\n".encode()
        if number == total:
            return
        await asyncio.sleep(interval)


async def slow(request: Request) -> Response:
    """Return a response that starts late or arrives in chunks with pauses between them."""
    query = request.query_params
    has_other_waits = "before" in query or "between" in query
    seconds = query_number(query, "seconds", 0.0 if has_other_waits else 5.0, 0.0, LONGEST_WAIT)
    before = query_number(query, "before", seconds, 0.0, LONGEST_WAIT)
    between = query_number(query, "between", 0.0, 0.0, LONGEST_WAIT)
    return Stream(_slow_chunks(between), media_type="text/plain", seconds_before=before)


async def _slow_chunks(between: float) -> AsyncIterator[bytes]:
    for number in range(1, SLOW_CHUNKS + 1):
        if number > 1:
            await asyncio.sleep(between)
        yield f"chunk {number} of {SLOW_CHUNKS}\n".encode()


async def status(request: Request) -> Response:
    """Return a response with the status in the path."""
    text = request.path_params["code"]
    if not re.fullmatch("[2-5][0-9]{2}", text):
        raise HTTPException(400, "The status must be a number from 200 to 599.")
    code = int(text)
    if code in {204, 205, 304}:
        return Response(status_code=code)
    return IndentedJSONResponse({"status": code}, code)


async def fail(_request: Request) -> Response:
    """Return a body that breaks off."""
    return Stream(_cut_body(), headers={"content-length": "1000"})


async def _cut_body() -> AsyncIterator[bytes]:
    yield b"x" * 100
    raise TransferCutError("/fail sends 100 of 1000 bytes.")


async def redirect(request: Request) -> Response:
    """Redirect to `to`, byte for byte, which RedirectResponse would quote."""
    target = request.query_params.get("to", "/")
    if not 0 < len(target) <= LONGEST_TARGET or not (target.isascii() and target.isprintable()):
        raise HTTPException(400, f"to must be an address of 1 to {LONGEST_TARGET} printable ASCII characters.")
    return Response(status_code=302, headers={"location": target})


async def cookies(request: Request) -> Response:
    """Set one cookie for each attribute that a proxy may have to rewrite."""
    domain = request.headers.get("host", "").partition(":")[0]
    lines = (
        "plain=1",
        "everywhere=2; Path=/; HttpOnly; SameSite=Lax",
        "narrow=3; Path=/certificates; Max-Age=3600",
        f"domain=4; Domain={domain}; Path=/",
        "secure=5; Path=/; Secure; SameSite=None",
        "removed=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    )
    response = IndentedJSONResponse({"received": request.headers.get("cookie", ""), "set": lines})
    for line in lines:
        response.headers.append("set-cookie", line)
    return response
