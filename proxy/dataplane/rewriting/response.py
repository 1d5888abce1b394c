"""What a browser gets under the path prefix: the upstream's pages with their addresses under it.

For requests with the browser's cookie alone; whoever sends the credentials as headers gets every byte as it is.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

from proxy.dataplane.rewriting import header_rules as rules
from proxy.dataplane.rewriting.css import CssRewriter
from proxy.dataplane.rewriting.encoding import Decoding, accepts_gzip, can_decode, codings_of, narrowed
from proxy.dataplane.rewriting.html import HtmlRewriter
from proxy.dataplane.rewriting.script import Script
from proxy.dataplane.rewriting.urls import Addresses
from proxy.dataplane.rules.headers import Headers, RequestHead
from proxy.dataplane.upstream.http1 import Answer

_HTML, _XHTML, _CSS = b"text/html", b"application/xhtml+xml", b"text/css"
# Bytes below 0x80 mean something else there (Encoding Standard §4; they are none of ASCII's).
_OTHER_CHARSET = re.compile(
    rb"charset\s*=\s*[\"']?\s*(?:utf-?(?:16|32|7)|ucs|unicode|iso-2022|csiso2022|hz-gb|ibm|cp037)", re.IGNORECASE
)
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# Where a page is to be shown, and not a part of one that a script asks for (Fetch Metadata §2.1).
_DOCUMENTS = frozenset({b"document", b"iframe", b"frame", b"embed", b"object", b"fencedframe"})
_POLICIES = (b"content-security-policy", b"content-security-policy-report-only")
_LEVEL = 4  # of gzip: half of the time of 6, and pages a tenth larger


class Rewriting:
    """The rules of one upstream."""

    def __init__(self, origin: bytes, base_path: bytes) -> None:
        self.addresses = Addresses(origin, base_path)
        self.script = Script(self.addresses)
        self.tags = rules.EntityTags(self.script.version)

    def of(self, head: RequestHead, own_origin: bytes) -> "Exchange":
        """One request, whose `passed` headers are changed to what is asked of the upstream."""
        exchange = Exchange(self, rules.Policy(self.addresses, own_origin, self.script.hash_source))
        head.passed = [pair for each in head.passed if (pair := exchange.asked(*each)) is not None]
        return exchange


@dataclass(slots=True)
class Exchange:
    """One request with the browser's cookie, and its answer."""

    of: Rewriting
    policy: rules.Policy
    gzip: bool = False
    document: bool = True
    conditional: bool = False  # by one of our own tags
    ranged: bool = False

    def asked(self, name: bytes, value: bytes) -> tuple[bytes, bytes] | None:
        """What the upstream is sent of a header; None: nothing."""
        if name == b"accept-encoding":
            self.gzip = accepts_gzip(value)
            return name, narrowed(value)
        if name in (b"if-none-match", b"if-match"):
            restored = self.of.tags.restored(value)
            self.conditional = self.conditional or restored != value
            return name, restored
        if name == b"sec-fetch-dest":
            self.document = value in _DOCUMENTS
        if name == b"range":
            if b"," in value:
                return None  # parts of several kinds in one answer; a server may overlook it (RFC 9110 §14.2)
            self.ranged = True
        return name, value

    def needs_whole(self, answer: Answer) -> bool:
        """Whether this is a part of what can only be rewritten as a whole."""
        if answer.status != HTTPStatus.PARTIAL_CONTENT or not self.ranged:
            return False
        return _kind_of({name.lower(): value for name, value in answer.headers}) is not None

    def answer(self, method: str, status: int, headers: Headers) -> tuple[Headers, "Body | None"]:
        """The headers of the answer, with names in lower case, and what rewrites its body; None: nothing does."""
        addresses, tags = self.of.addresses, self.of.tags
        changes: dict[bytes, rules.Rewrite] = {
            b"link": lambda value: rules.link(value, addresses),
            b"refresh": addresses.refresh,
            b"service-worker-allowed": addresses.under,
            **dict.fromkeys(_POLICIES, self.policy.rewritten),
        }
        joined: dict[bytes, bytes] = {}
        for name, value in headers:
            joined[name] = joined[name] + b"," + value if name in joined else value
        kind = _kind_of(joined)
        if status == HTTPStatus.NOT_MODIFIED and self.conditional:
            changes[b"etag"] = tags.marked
        if kind is None or status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED, HTTPStatus.PARTIAL_CONTENT):
            return rules.rewritten(headers, changes), None
        codings = codings_of(joined.get(b"content-encoding", b""))
        changes[b"etag"] = tags.marked
        # Without a tag there is only the date, which does not change with the script in the page.
        dropped = rules.OF_THE_BYTES if b"etag" in joined else rules.OF_THE_BYTES | {b"last-modified"}
        result = rules.rewritten([pair for pair in headers if pair[0] not in dropped], changes)
        zipped = bool(codings) and self.gzip
        if zipped:
            result.append((b"content-encoding", b"gzip"))
        if codings or kind != _CSS:
            result.append((b"vary", b"accept-encoding, sec-fetch-dest"))
        if method == "HEAD":
            return result, None
        rewriter: HtmlRewriter | CssRewriter
        if kind == _CSS:
            rewriter = CssRewriter(addresses)
        else:
            script = self.of.script.element if self.document else b""
            rewriter = HtmlRewriter(addresses, self.policy.rewritten, script=script, xhtml=kind == _XHTML)
        return result, Body(rewriter, Decoding(codings), zipped=zipped)


def _kind_of(headers: dict[bytes, bytes]) -> bytes | None:
    """The media type of what is rewritten; None for everything else."""
    content_type = headers.get(b"content-type", b"")
    kind = content_type.partition(b";")[0].strip().lower()
    if kind not in (_HTML, _XHTML, _CSS) or _OTHER_CHARSET.search(content_type):
        return None
    if headers.get(b"content-disposition", b"").lstrip().lower().startswith(b"attachment"):
        return None  # a file to keep
    # RFC 9111 §5.2.2.6
    if b"no-transform" in [part.strip().lower() for part in headers.get(b"cache-control", b"").split(b",")]:
        return None
    return kind if can_decode(codings_of(headers.get(b"content-encoding", b""))) else None


@dataclass(slots=True)
class Body:
    """The body of an answer, rewritten as it comes. Raises `BrokenAnswer` where it does not decode."""

    rewriter: HtmlRewriter | CssRewriter
    decoding: Decoding
    zipped: bool
    _zip: "zlib._Compress | None" = field(init=False)
    _begin: bytes | None = field(init=False, default=b"")  # until it is known whether it is UTF-16
    _plain: bool = field(init=False, default=False)  # it is

    def __post_init__(self) -> None:
        self._zip = zlib.compressobj(_LEVEL, wbits=31) if self.zipped else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What goes out, in pieces. Whoever waits for more of the upstream loses nothing of what has come."""
        for piece in self.decoding.feed(data):
            if out := self._encoded(self._rewritten(piece)):
                yield out
        if self._zip is not None and (out := self._zip.flush(zlib.Z_SYNC_FLUSH)):
            yield out

    def close(self) -> bytes:
        self.decoding.close()
        rest = b"" if self._begin is None else self.rewriter.feed(self._begin)
        rest = b"" if self._plain else rest + self.rewriter.close()
        return self._encoded(rest) + (self._zip.flush() if self._zip is not None else b"")

    def _encoded(self, data: bytes) -> bytes:
        return self._zip.compress(data) if self._zip is not None and data else data

    def _rewritten(self, data: bytes) -> bytes:
        if self._begin is not None:
            data = self._begin + data
            if len(data) < 2:
                self._begin = data
                return b""
            self._begin, self._plain = None, data.startswith(_UTF16_MARKS)
        return data if self._plain else self.rewriter.feed(data)
