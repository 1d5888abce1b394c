"""Content-Security-Policies of rewritten pages, without I/O."""

import re

from proxy.dataplane.rewriting.urls import UrlRewriter
from proxy.dataplane.rules.paths import PREFIX, rewrite_location, under_prefix

_SCRIPT_SOURCES = (b"script-src-elem", b"script-src", b"default-src")
# A source list with one of these ignores 'unsafe-inline' (CSP Level 3 §6.7.3.2).
_STRICT = re.compile(rb"'(?:nonce-|sha(?:256|384|512)-|strict-dynamic')", re.IGNORECASE)
_SOURCE = re.compile(
    rb"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<authority>[^/?#'*]+)(?P<path>/[^?#]*)?", re.IGNORECASE
)
_LISTS = frozenset({b"form-action", b"frame-ancestors", b"base-uri", b"navigate-to"})


class PolicyRewriter:
    """Rewrites the upstream's Content-Security-Policies for the gateway, which the browser sees at `own_origin`."""

    def __init__(self, urls: UrlRewriter, own_origin: bytes, hash_source: bytes) -> None:
        self._urls = urls
        self._own_origin = own_origin
        self._hash_source = hash_source

    def rewrite(self, value: bytes) -> bytes:
        """Return the policies with rewritten sources on the upstream's host, with the gateway's script allowed."""
        return b",".join(self._rewrite_one(policy) for policy in value.split(b","))

    def _rewrite_one(self, policy: bytes) -> bytes:
        directives = [directive.split() for directive in policy.split(b";")]
        names: dict[bytes, int] = {}
        for number, words in enumerate(directives):
            if words:
                names.setdefault(words[0].lower(), number)  # the first of several counts (CSP Level 3 §2.2.1)
        changed = {number: self._sources(name, directives[number]) for name, number in names.items()}
        parts = [
            b" " * part.startswith(b" ") + b" ".join(changed[number]) if number in changed
            and changed[number] != directives[number] else part
            for number, part in enumerate(policy.split(b";"))
        ]  # fmt: skip
        governing = next((name for name in _SCRIPT_SOURCES if name in names), None)
        if governing is not None:
            number = names[governing]
            allowed = self._allowing(changed[number][1:])
            if allowed is not None and governing == b"default-src":
                parts.append(b" script-src " + b" ".join(allowed))  # the hash must allow scripts only
            elif allowed is not None:
                parts[number] = b" " * parts[number].startswith(b" ") + b" ".join([changed[number][0], *allowed])
        return b";".join(parts)

    def _sources(self, name: bytes, words: list[bytes]) -> list[bytes]:
        if name == b"report-uri":
            return [words[0], *map(self._urls.rewrite, words[1:])]
        if name.endswith((b"-src", b"-src-elem", b"-src-attr")) or name in _LISTS:
            return [words[0], *(self._source(word, with_path=name != b"frame-ancestors") for word in words[1:])]
        return words

    def _source(self, word: bytes, *, with_path: bool) -> bytes:
        """Return a source on the upstream's host (CSP Level 3 §2.3.1) as one on the gateway."""
        found = _SOURCE.fullmatch(word)
        if not found:
            return word
        scheme = (found["scheme"] or b"").lower()
        upstream_scheme = self._urls.origin.partition(b"://")[0]
        target_scheme = {b"ws": b"http", b"wss": b"https"}.get(scheme, scheme) or upstream_scheme
        origin = target_scheme + b"://" + found["authority"]
        if rewrite_location(origin + b"/", self._urls.origin, b"") == origin + b"/":
            return word  # another host
        own = self._own_origin
        if scheme in (b"ws", b"wss"):
            own = own.replace(b"http", b"ws", 1)
        if not with_path:
            return own
        return own + (under_prefix(found["path"], self._urls.base_path) if found["path"] else PREFIX + b"/")

    def _allowing(self, sources: list[bytes]) -> list[bytes] | None:
        """Return the sources with the hash of the script, or None if the script is allowed already."""
        if b"'unsafe-inline'" in map(bytes.lower, sources) and not any(map(_STRICT.match, sources)):
            return None
        return [source for source in sources if source.lower() != b"'none'"] + [self._hash_source]
