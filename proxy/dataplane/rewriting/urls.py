"""Addresses as pages write them, without I/O: those of the upstream are put under the prefix."""

import re
from dataclasses import dataclass

from proxy.dataplane.rules.paths import PREFIX, rewrite_location

# Browsers strip these at the start of an address (WHATWG URL, "basic URL parser": C0 controls and spaces).
_STRIPPED = bytes(range(0x21))
_ELSEWHERE = re.compile(rb"[a-z][a-z0-9+.-]*:|[/\\\\]{2}", re.IGNORECASE)
_GAP = re.compile(rb"[\s,]*")
_WORD = re.compile(rb"\S+")
_DESCRIPTORS = re.compile(rb"[^,(]*(?:\([^)]*\)?[^,(]*)*")
_REFRESH = re.compile(rb"(\s*[\d.]+\s*(?:[;,]\s*)?(?:url\s*=\s*)?[\"']?)(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Addresses:
    """What is known of the upstream: its origin (`http://host:port`) and the path below which it is (empty: `/`)."""

    origin: bytes
    base_path: bytes

    @property
    def decisive(self) -> int:
        """With so many bytes of an address, less what is stripped, it is decided how it begins."""
        return len(self.origin) + len(self.base_path) + len(PREFIX) + 16

    def under(self, value: bytes) -> bytes:
        """An address on the upstream (`/x`, `http://upstream/x`) under the prefix; any other, and what is under the
        prefix already, as it is."""
        address = value.lstrip(_STRIPPED)
        if address[:2] == b"/\\" or is_under_prefix(address):
            return value
        return value[: len(value) - len(address)] + rewrite_location(address, self.origin, self.base_path)

    def is_own(self, value: bytes) -> bool:
        """Whether the address is on the upstream, or relative to the page, which is."""
        return self.under(value) != value or is_under_prefix(value) or not _ELSEWHERE.match(value)

    def words(self, value: bytes) -> bytes:
        """Addresses with whitespace between them (`ping`)."""
        return _WORD.sub(lambda word: self.under(word[0]), value)

    def srcset(self, value: bytes) -> bytes:
        """Images with descriptors and commas between them (HTML, "parse a srcset attribute")."""
        parts: list[bytes] = []
        at = 0
        while True:
            gap = _GAP.match(value, at)
            word = _WORD.match(value, gap.end()) if gap else None
            if gap is None or word is None:
                return b"".join([*parts, value[at:]])
            address = word[0].rstrip(b",")
            parts += [gap[0], self.under(address), word[0][len(address) :]]
            at = word.end()
            if len(address) == len(word[0]) and (descriptors := _DESCRIPTORS.match(value, at)):
                parts.append(descriptors[0])
                at = descriptors.end()

    def refresh(self, value: bytes) -> bytes:
        """`5; url=/x`, of the header or of `<meta http-equiv=refresh>`."""
        found = _REFRESH.fullmatch(value)
        return found[1] + self.under(found[2]) if found else value


def is_under_prefix(path: bytes) -> bool:
    return path.startswith(PREFIX) and path[len(PREFIX) : len(PREFIX) + 1] in (b"", b"/", b"?", b"#")
