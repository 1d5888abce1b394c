"""Streaming decoder of content codings (RFC 9110 §8.4.1), in small pieces.

A rewritten body is sent as gzip if the upstream had encoded it and the client accepts gzip: every browser does, and
zlib needs neither the window of a strong brotli nor the limits of a second library. A plain body stays plain.
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

PIECE = 16 * 1024  # bytes that are decoded at once
# A body is a decompression bomb if it decodes to more bytes than this, and to more than this multiple of its size.
MAX_DECODED, MAX_RATIO = 16 * 1024 * 1024, 100
_MAX_LAYERS = 4
_ZSTD_WINDOW = {int(zstd.DecompressionParameter.window_log_max): 23}  # 8 MiB (RFC 9659 §3)
_FAILURES = (zlib.error, brotli.error, zstd.ZstdError)


class _Layer(Protocol):
    """The decoder of one coding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded data in pieces of about `PIECE` bytes at most."""

    def is_complete(self) -> bool:
        """Return whether the data may end here."""


class _Zlib:
    """gzip, of any number of members (RFC 1952 §2.2), and deflate with or without its zlib header."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._object: Any = None
        self._begin = b""  # too few bytes to recognize the format
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
            while len(piece) == PIECE and not data and not self._object.eof:  # zlib may hold more output
                piece = self._object.decompress(b"", PIECE)
                if piece:
                    yield piece
            if self._object.eof:
                data, self._object = self._object.unused_data, None

    def _open(self, data: bytes) -> None:
        if self._gzip:
            # Bytes after the last member are padding, which browsers ignore.
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
    """Brotli (RFC 7932)."""

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


_DECODERS: dict[bytes, Callable[[], _Layer]] = {
    b"gzip": lambda: _Zlib(gzip=True),
    b"x-gzip": lambda: _Zlib(gzip=True),
    b"deflate": lambda: _Zlib(gzip=False),
    b"br": _Brotli,
    b"zstd": _Zstd,
}


class Decoder:
    """The decoder of a body. Raises `InvalidResponse` if the body is malformed, cut short or a decompression bomb."""

    def __init__(self, codings: list[bytes]) -> None:
        """Take the codings in the order in which they were applied; `can_decode` must accept them."""
        self._layers: list[_Layer] = [_DECODERS[coding]() for coding in reversed(codings)]
        self._sizes = [0] * len(self._layers)
        self._received = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded data in pieces of at most `PIECE` bytes."""
        self._received += len(data)
        try:
            yield from self._decode(0, data)
        except _FAILURES as error:
            raise InvalidResponse(str(error)) from error

    def close(self) -> None:
        """Raise `InvalidResponse` if the body is cut short."""
        if self._received and not all(layer.is_complete() for layer in self._layers):
            raise InvalidResponse("the encoded content ends early")

    def _decode(self, number: int, data: bytes) -> Iterator[bytes]:
        if number == len(self._layers):
            yield from (data[start : start + PIECE] for start in range(0, len(data), PIECE))
            return
        for piece in self._layers[number].feed(data):
            self._sizes[number] += len(piece)
            if self._sizes[number] > max(MAX_DECODED, MAX_RATIO * self._received):
                raise InvalidResponse("the encoded content is a decompression bomb")
            yield from self._decode(number + 1, piece)


def codings_of(value: bytes) -> list[bytes]:
    """Return the codings of `Content-Encoding` values joined by commas, without `identity`."""
    named = [coding.strip().lower() for coding in value.split(b",")]
    return [coding for coding in named if coding not in (b"", b"identity")]


def can_decode(codings: list[bytes]) -> bool:
    """Return whether all codings are known and there are not too many."""
    return len(codings) <= _MAX_LAYERS and all(coding in _DECODERS for coding in codings)


def narrow_accept_encoding(accept_encoding: bytes) -> bytes:
    """Return the client's `Accept-Encoding` (RFC 9110 §12.5.3) without codings that cannot be decoded."""
    kept = [
        part.strip()
        for part in accept_encoding.split(b",")
        if _coding(part) in _DECODERS or _coding(part) == b"identity"
    ]
    return b", ".join(kept) or b"identity"


def accepts_gzip(accept_encoding: bytes) -> bool:
    """Return whether gzip has a weight above zero, or `*` has one and gzip is not named."""
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
