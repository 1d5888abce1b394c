"""uvicorn's response to one request, with the framing that each version of HTTP needs.

The head and the beginning of the body go out in one write, as ASGI requires for `http.response.start`.
"""

import time
from email.utils import formatdate
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from proxy.dataplane.rules.headers import Headers, has_controls

_BODILESS = frozenset({204, 304})


@lru_cache(maxsize=1)
def date_line(second: int) -> bytes:
    """Return the `Date` line (RFC 9110 §6.6.1) for a time in Unix seconds."""
    return b"date: %b\r\n" % formatdate(second, usegmt=True).encode()


class ResponseCycle(RequestResponseCycle):
    """Replaces `send` of uvicorn's class; tested against the pinned uvicorn.

    It sets the same attributes: `response_started`, `response_complete`, `waiting_for_100_continue`, `keep_alive`,
    `chunked_encoding` and `expected_content_length`.
    """

    _head = b""  # until the first part of the body comes
    _bodiless = False
    until_close = False  # the body ends with the connection

    async def send(self, message: Any) -> None:
        """Send a part of the response.

        Raises `RuntimeError` for an invalid response: control characters in a header, a body that is not as long as
        stated, an unexpected message.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.body" and self.response_started and not self.response_complete:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start" and not self.response_started:
            self._begin(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"Unexpected ASGI message {kind!r}")

    def _begin(self, status: int, headers: Headers) -> None:
        if has_controls(headers):
            raise RuntimeError("A header of the response contains a control character")
        self.response_started = True
        self.waiting_for_100_continue = False
        self._bodiless = status in _BODILESS or self.scope["method"] == "HEAD"
        lines = [STATUS_LINE[status]]
        closes = framed = dated = False
        for name, value in headers:
            lower = name.lower()
            if lower == b"content-length":
                self.expected_content_length = int(value)
                framed = True
            elif lower == b"connection":
                closes = closes or b"close" in value.lower()
            elif lower == b"date":
                dated = True
            lines.append(lower + b": " + value + b"\r\n")
        if not dated:
            lines.append(date_line(int(time.time())))
        self.chunked_encoding = not framed and not self._bodiless
        if self.chunked_encoding:
            lines.append(self._unknown_length())
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        self._head = b"".join(lines)

    def _unknown_length(self) -> bytes:
        """Return the framing field of a body of unknown length.

        HTTP/1.0 has no chunks: such a body ends with the connection (RFC 9112 §6.1, §6.3).
        """
        if self.scope["http_version"] != "1.0":
            return b"transfer-encoding: chunked\r\n"
        self.until_close, self.chunked_encoding = True, False
        return b""

    def _send_body(self, body: bytes, *, more: bool) -> None:
        head, self._head = self._head, b""
        if self._bodiless:
            self.transport.write(head)
        elif self.chunked_encoding:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self.transport.write(head + chunk + (b"" if more else b"0\r\n\r\n"))
        else:
            if not self.until_close:
                self._count(len(body), more=more)
            self.transport.write(head + body if head else body)
        if not more:
            self._complete()

    def _count(self, length: int, *, more: bool) -> None:
        self.expected_content_length -= length
        if self.expected_content_length < 0 or (self.expected_content_length and not more):
            raise RuntimeError("The body of the response is not as long as its Content-Length")

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
