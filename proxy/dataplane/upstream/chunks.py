"""The chunked transfer coding of a response (RFC 9112 §7.1), without I/O.

Our own decoder, because llhttp neither accepts the padded sizes of old servers nor states the size of a chunk, and a
chunk of 2⁶⁴ bytes would be waited for.
"""

import re

from proxy.dataplane.upstream.errors import InvalidResponse

_MAX_LINE_BYTES = 16 * 1024  # of a size with its extensions, or of a trailer
_MAX_TRAILER_BYTES = 64 * 1024
# Each line as far as it has come, so that an invalid one is not waited for. A size is below 2⁴⁸.
_SIZE = re.compile(rb"0*([0-9A-Fa-f]{0,12})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r?\n?")
_END_OF_DATA = re.compile(rb"\r?\n?")
_TRAILER = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+(?::[^\x00-\x08\x0a-\x1f\x7f]*)?)?\r?\n?")


class ChunkedBody:
    """A chunked body as it arrives. Extensions and trailers are dropped."""

    __slots__ = ("_left", "_line", "_syntax", "_trailers", "complete")

    def __init__(self) -> None:
        self.complete = False
        self._left = 0  # bytes of the current chunk
        self._line = b""  # the part of the current line that has come
        self._syntax = _SIZE
        self._trailers = 0  # bytes

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the pieces of the body in this data, and the data behind the body. Raises `InvalidResponse`."""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self.complete:
            if self._left:
                stop = min(at + self._left, end)
                pieces.append(data[at:stop])
                self._left -= stop - at
                at = stop
            else:
                at = self._read_line(data, at)
        return pieces, data[at:]

    def _read_line(self, data: bytes, at: int) -> int:
        """Read to the end of the line or of the data, and return the position there."""
        longest = at + _MAX_LINE_BYTES + 1
        stop = data.find(b"\n", at, longest) + 1
        line = self._line = self._line + data[at : stop or longest]
        if len(line) > _MAX_LINE_BYTES or not self._syntax.fullmatch(line):
            raise InvalidResponse("an invalid chunk")
        if not stop:
            return len(data)
        if not line.endswith(b"\r\n"):
            raise InvalidResponse("a chunk's line ends with a bare LF")
        self._line = b""
        self._end_line(line)
        return stop

    def _end_line(self, line: bytes) -> None:
        if self._syntax is _END_OF_DATA:
            self._syntax = _SIZE
        elif self._syntax is _TRAILER:
            self._end_trailer(line)
        elif not (digits := re.match(rb"[0-9A-Fa-f]+", line)):
            raise InvalidResponse("a chunk without a size")
        else:
            self._left = int(digits[0], 16)
            self._syntax = _END_OF_DATA if self._left else _TRAILER

    def _end_trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if line != b"\r\n" and b":" not in line:
            raise InvalidResponse("an invalid trailer")
        if self._trailers > _MAX_TRAILER_BYTES:
            raise InvalidResponse("the trailers are too large")
        self.complete = line == b"\r\n"
