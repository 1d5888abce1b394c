"""Content codings (RFC 9110 §8.4.1) in a stream: decoded in small pieces; what goes out is gzip or plain.

gzip goes out where the upstream had encoded and the client accepts gzip: every browser does, and zlib costs neither
the window of a strong brotli nor a second library's bounds. What came plain goes out plain.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import brotli

from proxy.dataplane.upstream.errors import InvalidResponse

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 16 * 1024  # of what is decoded at once
# A bomb is what decodes to more than this, and to more than so many times of what came.
MOST_DECODED, MOST_RATIO = 16 * 1024 * 1024, 100
_MOST_LAYERS = 4
_ZSTD_WINDOW = {int(zstd.DecompressionParameter.window_log_max): 23}  # 8 MiB (RFC 9659 §3)
_FAILURES = (zlib.error, brotli.error, zstd.ZstdError)


class _Decoder(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the data decodes to, in pieces of about `PIECE` at most."""

    def is_complete(self) -> bool:
        """Whether what was fed may end here."""


class _Zlib:
    """gzip, of any number of members (RFC 1952 §2.2), and deflate with or without its zlib header."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._object: Any = None
        self._begin = b""  # not enough to see what it is
        self._garbage = False
        self._members = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        data, self._begin = self._begin + data, b""
        while data and not self._garbage:
            if self._object is None:
                if len(data) < 2:
                    self._begin = data
                    return
                self._open(data)
                continue
            piece = self._object.decompress(data, PIECE)
            data = self._object.unconsumed_tail
            if piece:
                yield piece
            while len(piece) == PIECE and not data and not self._object.eof:  # more of it may be in zlib
                piece = self._object.decompress(b"", PIECE)
                if piece:
                    yield piece
            if self._object.eof:
                data, self._object = self._object.unused_data, None

    def _open(self, data: bytes) -> None:
        if self._gzip:
            # What follows the last member is padding; browsers overlook it.
            self._garbage = bool(self._members) and not data.startswith(b"\x1f\x8b")
            bits = 31
        else:
            self._garbage = bool(self._members)
            bits = 15 if data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0 else -15
        self._members += 1
        self._object = None if self._garbage else zlib.decompressobj(bits)

    def is_complete(self) -> bool:
        return self._object is None and (bool(self._members) or not self._begin)


class _Brotli:
    def __init__(self) -> None:
        self._object = brotli.Decompressor()
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._fed = True
        while not self._object.is_finished():
            piece = self._object.process(data, output_buffer_limit=PIECE)
            data = b""
            if piece:
                yield piece
            if self._object.can_accept_more_data():
                return

    def is_complete(self) -> bool:
        return not self._fed or self._object.is_finished()


class _Zstd:
    """Frames of zstd, one after the other (RFC 8878 §3)."""

    def __init__(self) -> None:
        self._object: Any = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            self._object = self._object or zstd.ZstdDecompressor(options=_ZSTD_WINDOW)
            piece = self._object.decompress(data, PIECE)
            if piece:
                yield piece
            while not (self._object.needs_input or self._object.eof):
                piece = self._object.decompress(b"", PIECE)
                if piece:
                    yield piece
            data = b""
            if self._object.eof:
                data, self._object = self._object.unused_data, None

    def is_complete(self) -> bool:
        return self._object is None


_DECODERS: dict[bytes, Callable[[], _Decoder]] = {
    b"gzip": lambda: _Zlib(gzip=True),
    b"x-gzip": lambda: _Zlib(gzip=True),
    b"deflate": lambda: _Zlib(gzip=False),
    b"br": _Brotli,
    b"zstd": _Zstd,
}


class Decoding:
    """The decoder of a body. Raises `InvalidResponse` if the body is malformed, cut short or a decompression bomb."""

    def __init__(self, codings: list[bytes]) -> None:
        """The codings in the order in which they were applied, each of which `can_decode` knows."""
        self._layers: list[_Decoder] = [_DECODERS[coding]() for coding in reversed(codings)]
        self._sizes = [0] * len(self._layers)
        self._came = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._came += len(data)
        try:
            yield from self._through(0, data)
        except _FAILURES as error:
            raise InvalidResponse(str(error)) from error

    def close(self) -> None:
        if self._came and not all(layer.is_complete() for layer in self._layers):
            raise InvalidResponse("the encoded content ends early")

    def _through(self, number: int, data: bytes) -> Iterator[bytes]:
        if number == len(self._layers):
            yield from (data[start : start + PIECE] for start in range(0, len(data), PIECE))
            return
        for piece in self._layers[number].feed(data):
            self._sizes[number] += len(piece)
            if self._sizes[number] > max(MOST_DECODED, MOST_RATIO * self._came):
                raise InvalidResponse("the encoded content is a bomb")
            yield from self._through(number + 1, piece)


def codings_of(value: bytes) -> list[bytes]:
    """The codings of `Content-Encoding` values, joined by commas; `identity` is none."""
    named = [coding.strip().lower() for coding in value.split(b",")]
    return [coding for coding in named if coding not in (b"", b"identity")]


def can_decode(codings: list[bytes]) -> bool:
    return len(codings) <= _MOST_LAYERS and all(coding in _DECODERS for coding in codings)


def narrowed(accept_encoding: bytes) -> bytes:
    """The client's `Accept-Encoding` (RFC 9110 §12.5.3) without what we cannot decode."""
    kept = [
        part.strip()
        for part in accept_encoding.split(b",")
        if _coding(part) in _DECODERS or _coding(part) == b"identity"
    ]
    return b", ".join(kept) or b"identity"


def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether gzip is named with a weight above zero, or `*` is and gzip is not."""
    weights = {_coding(part): _weight(part) for part in accept_encoding.split(b",")}
    return weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", 0.0))) > 0


def _coding(part: bytes) -> bytes:
    return part.partition(b";")[0].strip().lower()


def _weight(part: bytes) -> float:
    _, _, weight = part.partition(b";")[2].partition(b"=")
    try:
        return float(weight or b"1")
    except ValueError:
        return 0.0
