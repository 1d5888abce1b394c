"""Uploads and downloads of any size, in constant memory."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from proxy.demo.preconditions import RangeNotSatisfiableError, byte_range, etag_matches
from proxy.demo.query import query_number
from proxy.demo.responses import IndentedJSONResponse, Stream

CHUNK = 64 * 1024
# The byte at position k is k % PERIOD. As PERIOD is prime, a misplaced chunk is always noticed.
PERIOD = 251
PATTERN = bytes(position % PERIOD for position in range(CHUNK + PERIOD))

SIZE = re.compile(r"([0-9]{1,15})(B|KB|MB|GB|TB|KIB|MIB|GIB|TIB)?", re.IGNORECASE)
UNITS = {"B": 1}
UNITS |= {f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", start=1)}
UNITS |= {f"{prefix}IB": 1024**power for power, prefix in enumerate("KMGT", start=1)}
LARGEST = UNITS["TIB"]


async def upload(request: Request) -> Response:
    """Return the length and the hash of the request body, which is read in chunks."""
    digest = hashlib.sha256()
    received = 0
    async for chunk in request.stream():
        digest.update(chunk)
        received += len(chunk)
    return IndentedJSONResponse({"bytes": received, "sha256": digest.hexdigest()})


async def download(request: Request) -> Response:
    """Return the first `size` bytes of the pattern, or a range of them."""
    size = parse_size(request.path_params["size"])
    etag = f'"demo-{size}"'
    chunked = query_number(request.query_params, "chunked", 0, 0, 1) == 1
    if etag_matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers={"etag": etag})
    selected = _selected_range(request, size, etag)
    positions = range(size) if selected is None else selected
    headers = {
        "content-disposition": f'attachment; filename="demo-{size}.bin"',
        "accept-ranges": "bytes",
        "etag": etag,
    }
    if not chunked:
        headers["content-length"] = str(len(positions))
    if selected is not None:
        headers["content-range"] = f"bytes {selected.start}-{selected.stop - 1}/{size}"
    return Stream(pattern(positions), 200 if selected is None else 206, headers)


def parse_size(text: str) -> int:
    """Return the number of bytes that `10`, `1KB`, `10MB` or `1GiB` stands for."""
    matched = SIZE.fullmatch(text)
    size = int(matched[1]) * UNITS[(matched[2] or "B").upper()] if matched else LARGEST + 1
    if size > LARGEST:
        raise HTTPException(
            400, "The size must be a whole number of bytes up to 1TiB, such as 512, 1KB, 10MB or 1GiB."
        )
    return size


def _selected_range(request: Request, size: int, etag: str) -> range | None:
    # RFC 9110 §14.2 defines ranges for GET only; §13.1.5: If-Range must match, or the range is ignored.
    if request.method != "GET" or request.headers.get("if-range", etag) != etag:
        return None
    try:
        return byte_range(request.headers.get("range", ""), size)
    except RangeNotSatisfiableError:
        headers = {"content-range": f"bytes */{size}"}
        raise HTTPException(416, f"The range lies outside of the {size} bytes.", headers) from None


async def pattern(positions: range) -> AsyncIterator[bytes]:
    """Yield the bytes at these positions of the pattern."""
    for start in range(positions.start, positions.stop, CHUNK):
        offset = start % PERIOD
        yield PATTERN[offset : offset + min(CHUNK, positions.stop - start)]
        # After a disconnect, send() returns without a pause: let the task be cancelled.
        await asyncio.sleep(0)
