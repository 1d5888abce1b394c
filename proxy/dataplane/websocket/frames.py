"""WebSocket frames (RFC 6455 §5.2), without I/O: the subset for messages that consist of one frame."""

import os
import struct

from websockets.frames import Opcode
from websockets.speedups import apply_mask

# The first byte of a frame that is a whole message: FIN set, no reserved bit.
TEXT, BINARY = 0x80 | Opcode.TEXT, 0x80 | Opcode.BINARY
_HEAD, _LONGER_HEAD = struct.Struct("!BB"), struct.Struct("!BBH")
_KEYS = 1024


def extent(data: bytes, start: int) -> tuple[int, int] | None:
    """Return the start and the end of the payload of the frame at `start`, or None if its header is incomplete.

    The end may lie beyond the data.
    """
    if len(data) - start < 2:
        return None
    second = data[start + 1]
    begin, length = start + 2, second & 0x7F
    if length > 125:
        size = 2 if length == 126 else 8
        begin += size
        if len(data) < begin:
            return None
        length = int.from_bytes(data[begin - size : begin], "big")
    if second & 0x80:
        begin += 4
        if len(data) < begin:
            return None
    return begin, begin + length


def is_plain(header: int, length: int, *, masked: bool) -> bool:
    """Return whether a header of this size is the shortest for the payload's length, and that is below 64 KiB."""
    return header == (6 if masked else 2) + (2 if length > 125 else 0)


def unmasked(data: bytes, begin: int, end: int) -> bytes:
    """Return the unmasked payload from `begin` to `end`; its masking key precedes it."""
    return apply_mask(data[begin:end], data[begin - 4 : begin])


def frame(first: int, payload: bytes) -> bytes:
    """Return a server's frame with a payload of less than 64 KiB."""
    length = len(payload)
    head = _HEAD.pack(first, length) if length < 126 else _LONGER_HEAD.pack(first, 126, length)
    return head + payload


class Masking:
    """Builds frames as a client must send them, each with a new unpredictable key (RFC 6455 §5.3)."""

    def __init__(self) -> None:
        self._keys = b""
        self._used = 0

    def frame(self, first: int, payload: bytes) -> bytes:
        """Return a client's frame with a payload of less than 64 KiB."""
        if self._used == len(self._keys):
            self._keys, self._used = os.urandom(4 * _KEYS), 0
        key = self._keys[self._used : self._used + 4]
        self._used += 4
        length = len(payload)
        head = _HEAD.pack(first, 0x80 | length) if length < 126 else _LONGER_HEAD.pack(first, 0xFE, length)
        return head + key + apply_mask(payload, key)
