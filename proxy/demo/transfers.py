"""Uploads and downloads of any size, in constant memory."""

import hashlib
import re
from collections.abc import AsyncIterator

from proxy.demo.exchange import Headers, HttpError, Request, Response, json_response
from proxy.demo.preconditions import RangeNotSatisfiableError, byte_range, etag_matches

CHUNK = 64 * 1024
# The byte at position k is k % PERIOD: a prime, so a chunk in the wrong place never looks right.
PERIOD = 251
PATTERN = bytes(position % PERIOD for position in range(CHUNK + PERIOD))

SIZE = re.compile(r"([0-9]{1,15})(B|KB|MB|GB|TB|KIB|MIB|GIB|TIB)?", re.IGNORECASE)
UNITS = {"B": 1}
UNITS |= {f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", start=1)}
UNITS |= {f"{prefix}IB": 1024**power for power, prefix in enumerate("KMGT", start=1)}
LARGEST = UNITS["TIB"]


async def upload(request: Request) -> Response:
    """Count and hash the body as it passes."""
    digest = hashlib.sha256()
    received = 0
    async for piece in request.body():
        digest.update(piece)
        received += len(piece)
    return json_response({"bytes": received, "sha256": digest.hexdigest()})


async def download(request: Request) -> Response:
    """As many bytes of the pattern as the path says."""
    size = parse_size(request.argument)
    etag = f'"demo-{size}"'
    chunked = request.query.flag("chunked")
    if etag_matches(request.header("if-none-match"), etag):
        return Response(304, (("etag", etag),))
    selected = _selected(request, size, etag)
    positions = range(size) if selected is None else selected
    headers = _content_headers(size, etag)
    if not chunked:
        headers += (("content-length", str(len(positions))),)
    if selected is not None:
        headers += (("content-range", f"bytes {selected.start}-{selected.stop - 1}/{size}"),)
    return Response(200 if selected is None else 206, headers, pattern(positions))


def _content_headers(size: int, etag: str) -> Headers:
    return (
        ("content-type", "application/octet-stream"),
        ("content-disposition", f'attachment; filename="demo-{size}.bin"'),
        ("accept-ranges", "bytes"),
        ("etag", etag),
    )


def parse_size(text: str) -> int:
    """The number of bytes in `10`, `1KB`, `10MB` or `1GiB`."""
    matched = SIZE.fullmatch(text)
    size = int(matched[1]) * UNITS[(matched[2] or "B").upper()] if matched else LARGEST + 1
    if size > LARGEST:
        raise HttpError(400, "The size must be a whole number of bytes up to 1TiB, such as 512, 1KB, 10MB or 1GiB.")
    return size


def _selected(request: Request, size: int, etag: str) -> range | None:
    # Only GET defines ranges, and a range of an outdated copy (If-Range) is of no use to the client.
    if request.method != "GET" or request.header("if-range") not in {"", etag}:
        return None
    try:
        return byte_range(request.header("range"), size)
    except RangeNotSatisfiableError:
        outside = (("content-range", f"bytes */{size}"),)
        raise HttpError(416, f"The range lies outside of the {size} bytes.", outside) from None


async def pattern(positions: range) -> AsyncIterator[bytes]:
    """The bytes at these positions of the pattern."""
    for start in range(positions.start, positions.stop, CHUNK):
        offset = start % PERIOD
        yield PATTERN[offset : offset + min(CHUNK, positions.stop - start)]
