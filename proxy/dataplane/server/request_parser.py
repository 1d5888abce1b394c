"""The way of a client's bytes into httptools, for the requests that httptools or uvicorn would read wrongly."""

import re
from typing import Any

from httptools import HttpParserError, HttpParserInvalidURLError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_NON_ASCII = re.compile(rb"[\x80-\xff]")


def escape_non_ascii(text: bytes) -> bytes:
    """Return the text with a percent escape (RFC 3986 §2.1) for each byte that is not ASCII."""
    return text if text.isascii() else _NON_ASCII.sub(lambda found: b"%%%02X" % ord(found[0]), text)


class RequestParser(HttpToolsProtocol):
    """The part of a connection's protocol that parses requests.

    A request target may contain bytes that are not ASCII, such as raw UTF-8: RFC 3986 does not allow them, but
    clients send them, and servers accept them. httptools rejects them, so it gets percent escapes; `target` is what
    was sent.

    An upgrade to another protocol than WebSocket is ignored (RFC 9110 §7.8): the request is parsed again without it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.url = b""
        self._raw_target = b""  # only if it is not ASCII
        self._has_begun = False  # a request, in the data that is being parsed
        self._parses_again = False  # a request line
        self._upgraded = False  # to a WebSocket, for which another protocol has taken over

    @property
    def target(self) -> bytes:
        """Return the request target, byte for byte as the client sent it."""
        return self._raw_target or self.url

    def parse(self, data: bytes) -> bytes:
        """Parse data, handle errors, and return the data that follows the handshake of a WebSocket.

        If it has a byte that is not ASCII, outside a body, it is one line or a part of one.
        """
        self._unset_keepalive_if_required()
        while True:
            try:
                self._feed(data)
            except HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self._upgraded = True
                    self.handle_websocket_upgrade()
                    return data[upgrade.args[0] :]
                self._parses_again = True
                data = self._without_upgrade() + data[upgrade.args[0] :]
                self._renew_parser()  # the old one may consider the connection ended
            except HttpParserError:
                self.logger.warning("Invalid HTTP request received.")
                self.send_400_response("")
                return b""
            else:
                return b""

    def _feed(self, data: bytes) -> None:
        self._has_begun = False
        try:
            self.parser.feed_data(data)
        except HttpParserInvalidURLError:
            line = self._whole_line(data)
            if data.isascii() or not line:
                raise
        else:
            return
        self._parses_again = True
        self._raw_target = line.rstrip(b"\r\n").split(b" ", 2)[1]
        self._renew_parser()
        self.parser.feed_data(escape_non_ascii(line))
        self._parses_again = False

    def _whole_line(self, data: bytes) -> bytes:
        """Return the request line as received so far, if its last part is `data`; empty if it has no path."""
        if self._has_begun:
            return data if b" " in data else b""
        # Only the target can begin with a slash.
        rest = self.target + data if self.target else data[data.find(b"/") :]
        return self.parser.get_method() + b" " + rest if rest.startswith(b"/") else b""

    def _renew_parser(self) -> None:
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # like uvicorn

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        super().on_message_begin()
        self._has_begun = True
        if not self._parses_again:
            self._raw_target = b""

    def on_url(self, url: bytes) -> None:
        """Keep a part of the request target."""
        super().on_url(url)
        if self._raw_target and not self._parses_again:
            self._raw_target += url

    def on_headers_complete(self) -> None:
        """Start the request, with its target as it was sent."""
        self._parses_again = False
        super().on_headers_complete()
        if self._raw_target and "raw_path" in self.scope:  # not a WebSocket
            self.scope["raw_path"], _, self.scope["query_string"] = self._raw_target.partition(b"?")

    # --- Upgrades

    def _without_upgrade(self) -> bytes:
        """Return the header block without the upgrade, to be parsed again."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _get_upgrade(self) -> bytes | None:
        """Return the offered upgrade if `Connection` names it, from all fields of a name together (RFC 9110 §5.3).

        uvicorn uses the last field only.
        """
        given = {b"connection": b"", b"upgrade": b""}
        for name, value in self.headers:
            if name in given:
                given[name] += b"," + value.lower()
        wanted = {option.strip() for option in given[b"connection"].split(b",")}
        return given[b"upgrade"].removeprefix(b",") if b"upgrade" in wanted else None

    def _should_upgrade(self) -> bool:
        """Return whether to upgrade; in HTTP/1.0 an upgrade must be ignored (RFC 9110 §7.8)."""
        return self.parser.get_http_version() == "1.1" and super()._should_upgrade()
