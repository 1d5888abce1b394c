"""Streaming rewriter of the URLs in CSS: `url(…)` and `@import`; everything else passes byte for byte.

It recognizes the tokens that may contain a URL or hide one (CSS Syntax Level 3 §4): comments, strings, `url(` and
`@import`. It keeps at most some hundred bytes, because the beginning of a URL decides about its rewriting.
"""

import re
from collections.abc import Callable
from enum import Enum, auto

from proxy.dataplane.rewriting.urls import UrlRewriter

_TOKEN = re.compile(rb"""/\*|["']|\\[\s\S]|(?<![\w\x80-\xff-])url\(|@import(?![\w\x80-\xff-])""", re.IGNORECASE)
_BEGUN = re.compile(rb"(?:/|\\|@(?:i(?:m(?:p(?:o(?:rt?)?)?)?)?)?|u(?:rl?)?)\Z", re.IGNORECASE)
_SPACE = re.compile(rb"[ \t\r\n\f]*")
_STRING_END = {quote: re.compile(rb"\\[\s\S]|[\r\n\f]|" + quote) for quote in (b'"', b"'")}
_UNQUOTED_END = re.compile(rb"\\[\s\S]|\)")
_LONGEST_TOKEN = 7  # `@import`


class _State(Enum):
    TOP = auto()
    COMMENT = auto()
    STRING = auto()
    UNQUOTED = auto()  # within url( )
    URL = auto()  # after `url(`
    IMPORT = auto()  # after `@import`
    IMPORT_COMMENT = auto()
    URL_START = auto()  # at the first byte of the URL


class CssRewriter:
    """`feed` returns the output so far, `close` the rest; the result does not depend on how the input is cut."""

    def __init__(self, urls: UrlRewriter, rewrite: Callable[[bytes], bytes] | None = None) -> None:
        self._rewrite = rewrite or urls.rewrite
        self._needed_bytes = urls.needed_bytes
        self._state = _State.TOP
        self._quote = b""  # around the string; empty for a URL without quotes
        self._buffer = bytearray()
        self._at = 0  # bytes before this position are in the output; one of them is kept, to look back at
        self._out: list[bytes] = []
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        self._buffer += data
        while _STEPS[self._state](self):
            pass
        keep = max(0, self._at - 1)
        del self._buffer[:keep]
        self._at -= keep
        out, self._out = self._out, []
        return b"".join(out)

    def close(self) -> bytes:
        self._ended = True
        out = self.feed(b"")
        rest = bytes(self._buffer[self._at :])
        self._at = len(self._buffer)
        return out + rest

    def _emit(self, end: int) -> None:
        if end > self._at:
            self._out.append(bytes(self._buffer[self._at : end]))
            self._at = end

    def _top(self) -> bool:
        buffer, end = self._buffer, len(self._buffer)
        search = self._at
        while token := _TOKEN.search(buffer, search):
            kind, search = token[0].lower(), token.end()
            if kind[:1] == b"\\":
                continue
            if kind == b"@import" and search == end and not self._ended:
                self._emit(token.start())
                return False  # it may become `@importance`
            self._emit(search)
            if kind == b"/*":
                self._state = _State.COMMENT
            elif kind == b"url(":
                self._state = _State.URL
            elif kind == b"@import":
                self._state = _State.IMPORT
            else:
                self._quote, self._state = bytes(kind), _State.STRING
            return True
        begun = None if self._ended else _BEGUN.search(buffer, max(search, end - _LONGEST_TOKEN))
        self._emit(begun.start() if begun else end)
        return False

    def _comment(self) -> bool:
        return self._until_comment_end(_State.TOP)

    def _import_comment(self) -> bool:
        return self._until_comment_end(_State.IMPORT)

    def _until_comment_end(self, following: _State) -> bool:
        found = self._buffer.find(b"*/", self._at)
        if found < 0:
            end = len(self._buffer)
            self._emit(end - 1 if self._buffer.endswith(b"*") and end > self._at else end)
            return False
        self._emit(found + 2)
        self._state = following
        return True

    def _string(self) -> bool:
        return self._until(_STRING_END[self._quote])

    def _unquoted(self) -> bool:
        return self._until(_UNQUOTED_END)

    def _until(self, pattern: re.Pattern[bytes]) -> bool:
        search = self._at
        while found := pattern.search(self._buffer, search):
            search = found.end()
            if found[0][:1] != b"\\":
                self._emit(search)
                self._state = _State.TOP
                return True
        end = len(self._buffer)
        # The first byte of an escape; the second has not come yet.
        self._emit(end - 1 if end > search and self._buffer[end - 1] == ord("\\") else end)
        return False

    def _url(self) -> bool:
        return self._skip_space() and self._begin_url(quoted=self._next() in (b'"', b"'"))

    def _import(self) -> bool:
        if not self._skip_space():
            return False
        following = self._next()
        if following in (b'"', b"'"):
            return self._begin_url(quoted=True)
        if following == b"/":
            if len(self._buffer) - self._at == 1 and not self._ended:
                return False
            if self._buffer[self._at + 1 : self._at + 2] == b"*":
                self._emit(self._at + 2)
                self._state = _State.IMPORT_COMMENT
                return True
        self._state = _State.TOP
        return True

    def _skip_space(self) -> bool:
        """Skip whitespace, and return whether another byte follows."""
        space = _SPACE.match(self._buffer, self._at)
        self._emit(space.end() if space else self._at)
        return self._at < len(self._buffer)

    def _next(self) -> bytes:
        return bytes(self._buffer[self._at : self._at + 1])

    def _begin_url(self, *, quoted: bool) -> bool:
        self._quote = self._next() if quoted else b""
        self._emit(self._at + len(self._quote))
        self._state = _State.URL_START
        return True

    def _url_start(self) -> bool:
        if not self._skip_space() and not self._ended:
            return False
        begin = bytes(self._buffer[self._at : self._at + self._needed_bytes])
        ending = (_STRING_END[self._quote] if self._quote else _UNQUOTED_END).search(begin)
        if ending is None and len(begin) < self._needed_bytes and not self._ended:
            return False
        url = begin[: ending.start()] if ending else begin
        self._out.append(self._rewrite(url))
        self._at += len(url)
        self._state = _State.STRING if self._quote else _State.UNQUOTED
        return True


_STEPS: dict[_State, Callable[[CssRewriter], bool]] = {
    _State.TOP: CssRewriter._top,  # noqa: SLF001  (same class)
    _State.COMMENT: CssRewriter._comment,  # noqa: SLF001
    _State.IMPORT_COMMENT: CssRewriter._import_comment,  # noqa: SLF001
    _State.STRING: CssRewriter._string,  # noqa: SLF001
    _State.UNQUOTED: CssRewriter._unquoted,  # noqa: SLF001
    _State.URL: CssRewriter._url,  # noqa: SLF001
    _State.IMPORT: CssRewriter._import,  # noqa: SLF001
    _State.URL_START: CssRewriter._url_start,  # noqa: SLF001
}
