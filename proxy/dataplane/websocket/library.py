"""Rules of the `websockets` library that are stricter than those of the gateway, relaxed once for the process."""

from websockets import frames, http11

# Both ends limit the whole handshake themselves: the client's by MAX_HEADER_BYTES, the upstream's by 64 KiB.
_MAX_LINE_BYTES = 2**20
_MAX_FIELDS = 2**16
# Reserved for the protocol and its extensions (RFC 6455 §7.4.2). Browsers accept them, and show them to the page.
_RESERVED_CODES = range(1016, 3000)


def relax() -> None:
    """Accept header lines as long as those of HTTP, any number of them, and every close code that browsers accept."""
    http11.MAX_LINE_LENGTH = _MAX_LINE_BYTES
    http11.MAX_NUM_HEADERS = _MAX_FIELDS
    codes: set[int] = frames.EXTERNAL_CLOSE_CODES  # type: ignore[assignment]  # its members are integers
    codes.update(_RESERVED_CODES)
