"""WebSocket frames (RFC 6455 §5.2), without I/O: as much of them as a message needs that comes whole in one."""

import os
import struct

from websockets.frames import Opcode
from websockets.speedups import apply_mask

# First bytes of a frame that is a whole message: FIN, and no reserved bit.
TEXT, BINARY = 0x80 | Opcode.TEXT, 0x80 | Opcode.BINARY
_HEAD, _LONGER_HEAD = struct.Struct("!BB"), struct.Struct("!BBH")
_KEYS = 1024


def extent(data: bytes, start: int) -> tuple[int, int] | None:
    """Where the payload of the frame at `start` begins and where it ends, be that behind the data; None where the
    header is not all there."""
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
    """Whether a header of so many bytes is the only right one for a payload of this length, and that up to 64 KiB."""
    return header == (6 if masked else 2) + (2 if length > 125 else 0)


def unmasked(data: bytes, begin: int, end: int) -> bytes:
    """The payload from `begin` to `end`, whose masking key stands before it."""
    return apply_mask(data[begin:end], data[begin - 4 : begin])


def frame(first: int, payload: bytes) -> bytes:
    """A server's frame for a payload of up to 64 KiB."""
    length = len(payload)
    head = _HEAD.pack(first, length) if length < 126 else _LONGER_HEAD.pack(first, 126, length)
    return head + payload


class Masking:
    """Gives frames as a client must send them: each with a new key that nobody can foresee (RFC 6455 §5.3)."""

    def __init__(self) -> None:
        self._keys = b""
        self._used = 0

    def frame(self, first: int, payload: bytes) -> bytes:
        """A client's frame for a payload of up to 64 KiB."""
        if self._used == len(self._keys):
            self._keys, self._used = os.urandom(4 * _KEYS), 0
        key = self._keys[self._used : self._used + 4]
        self._used += 4
        length = len(payload)
        head = _HEAD.pack(first, 0x80 | length) if length < 126 else _LONGER_HEAD.pack(first, 0xFE, length)
        return head + key + apply_mask(payload, key)
