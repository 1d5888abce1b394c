"""Rewriting of URLs in pages, without I/O: URLs of the upstream get the path prefix."""

import re
from dataclasses import dataclass

from proxy.dataplane.rules.paths import PREFIX, rewrite_location

# Browsers strip these bytes at the start of a URL (WHATWG URL, "basic URL parser": C0 controls and space).
_STRIPPED = bytes(range(0x21))
_ELSEWHERE = re.compile(rb"[a-z][a-z0-9+.-]*:|[/\\\\]{2}", re.IGNORECASE)
_GAP = re.compile(rb"[\s,]*")
_WORD = re.compile(rb"\S+")
_DESCRIPTORS = re.compile(rb"[^,(]*(?:\([^)]*\)?[^,(]*)*")
_LINK = re.compile(rb'<([^<>]*)>|"(?:[^"\\]|\\.)*"')
_REFRESH = re.compile(rb"(\s*[\d.]+\s*(?:[;,]\s*)?(?:url\s*=\s*)?[\"']?)(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class UrlRewriter:
    """Rewrites URLs for one upstream: its origin (`http://host:port`) and its base path (empty for `/`)."""

    origin: bytes
    base_path: bytes

    @property
    def needed_bytes(self) -> int:
        """Return the number of bytes, without stripped ones, that suffice to rewrite the beginning of a URL."""
        return len(self.origin) + len(self.base_path) + len(PREFIX) + 16

    def rewrite(self, value: bytes) -> bytes:
        """Return a URL of the upstream (`/x`, `http://upstream/x`) with the prefix.

        Other URLs, and those that have the prefix already, are returned unchanged.
        """
        url = value.lstrip(_STRIPPED)
        if url[:2] == b"/\\" or is_under_prefix(url):
            return value
        return value[: len(value) - len(url)] + rewrite_location(url, self.origin, self.base_path)

    def is_own(self, value: bytes) -> bool:
        """Return whether the URL is one of the upstream, or relative to the page."""
        return self.rewrite(value) != value or is_under_prefix(value) or not _ELSEWHERE.match(value)

    def rewrite_list(self, value: bytes) -> bytes:
        """Return URLs separated by whitespace (`ping`), rewritten."""
        return _WORD.sub(lambda word: self.rewrite(word[0]), value)

    def rewrite_srcset(self, value: bytes) -> bytes:
        """Return a list of images with descriptors (HTML, "parse a srcset attribute"), rewritten."""
        parts: list[bytes] = []
        at = 0
        while True:
            gap = _GAP.match(value, at)
            word = _WORD.match(value, gap.end()) if gap else None
            if gap is None or word is None:
                return b"".join([*parts, value[at:]])
            url = word[0].rstrip(b",")
            parts += [gap[0], self.rewrite(url), word[0][len(url) :]]
            at = word.end()
            if len(url) == len(word[0]) and (descriptors := _DESCRIPTORS.match(value, at)):
                parts.append(descriptors[0])
                at = descriptors.end()

    def rewrite_refresh(self, value: bytes) -> bytes:
        """Return a refresh (`5; url=/x`) of the header field or of `<meta http-equiv=refresh>`, rewritten."""
        found = _REFRESH.fullmatch(value)
        return found[1] + self.rewrite(found[2]) if found else value

    def rewrite_link(self, value: bytes) -> bytes:
        """Return a `Link` value (RFC 8288 §3), rewritten."""
        return _LINK.sub(lambda found: found[0] if found[1] is None else b"<" + self.rewrite(found[1]) + b">", value)


def is_under_prefix(path: bytes) -> bool:
    """Return whether the path has the prefix."""
    return path.startswith(PREFIX) and path[len(PREFIX) : len(PREFIX) + 1] in (b"", b"/", b"?", b"#")
