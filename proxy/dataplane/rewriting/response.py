"""Rewriting of the upstream's pages, so that their URLs stay under the path prefix in a browser.

Only responses to requests with the browser's cookie are rewritten; clients that send the credentials in header fields
get every byte unchanged.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

from proxy.dataplane.rewriting.content_policy import PolicyRewriter
from proxy.dataplane.rewriting.css import CssRewriter
from proxy.dataplane.rewriting.encoding import Decoder, accepts_gzip, can_decode, codings_of, narrow_accept_encoding
from proxy.dataplane.rewriting.entity_tags import EntityTags
from proxy.dataplane.rewriting.html import HtmlRewriter
from proxy.dataplane.rewriting.script import Script
from proxy.dataplane.rewriting.urls import UrlRewriter
from proxy.dataplane.rules.headers import Headers
from proxy.dataplane.upstream.http1 import Response

_HTML, _XHTML, _CSS = b"text/html", b"application/xhtml+xml", b"text/css"
# Encodings in which bytes below 0x80 do not mean ASCII (Encoding Standard §4).
_OTHER_CHARSET = re.compile(
    rb"charset\s*=\s*[\"']?\s*(?:utf-?(?:16|32|7)|ucs|unicode|iso-2022|csiso2022|hz-gb|ibm|cp037)", re.IGNORECASE
)
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# Destinations that show a page, not a part of one that a script fetches (Fetch Metadata §2.1).
_DOCUMENTS = frozenset({b"document", b"iframe", b"frame", b"embed", b"object", b"fencedframe"})
_POLICIES = (b"content-security-policy", b"content-security-policy-report-only")
# Fields that describe the bytes as the upstream sent them.
_BODY_FIELDS = frozenset(
    {
        b"content-length", b"content-encoding", b"content-md5", b"digest", b"repr-digest", b"content-digest",
        b"accept-ranges",
    }
)  # fmt: skip
_GZIP_LEVEL = 4  # half of the time of level 6, for pages that are a tenth larger
_Rewrite = Callable[[bytes], bytes]


class Rewriting:
    """The rewriting rules for one upstream."""

    def __init__(self, origin: bytes, base_path: bytes) -> None:
        self.urls = UrlRewriter(origin, base_path)
        self.script = Script(self.urls)
        self.tags = EntityTags(self.script.version)

    def begin(self, passed: Headers, own_origin: bytes) -> tuple["ExchangeRewriter", Headers]:
        """Return the rewriter of one exchange, and the request's fields as the upstream must get them.

        `own_origin` is the origin under which the browser sees the gateway.
        """
        rewriter = ExchangeRewriter(self, PolicyRewriter(self.urls, own_origin, self.script.hash_source))
        return rewriter, [pair for each in passed if (pair := rewriter.read_field(*each)) is not None]


@dataclass(slots=True)
class ExchangeRewriter:
    """The rewriting of the response to one request."""

    rewriting: Rewriting
    policy: PolicyRewriter
    gzip: bool = False
    document: bool = True
    conditional: bool = False  # the request names one of the gateway's own entity tags
    ranged: bool = False

    def read_field(self, name: bytes, value: bytes) -> tuple[bytes, bytes] | None:
        """Note the wishes of a request's field, and return the field for the upstream, or None to drop it."""
        if name == b"accept-encoding":
            self.gzip = accepts_gzip(value)
            return name, narrow_accept_encoding(value)
        if name in (b"if-none-match", b"if-match"):
            restored = self.rewriting.tags.restore(value)
            self.conditional = self.conditional or restored != value
            return name, restored
        if name == b"sec-fetch-dest":
            self.document = value in _DOCUMENTS
        if name == b"range":
            if b"," in value:
                return None  # a multipart response cannot be rewritten; a server may ignore `Range` (RFC 9110 §14.2)
            self.ranged = True
        return name, value

    def needs_whole(self, response: Response) -> bool:
        """Return whether the response is a part of a body that can be rewritten only as a whole."""
        if response.status != HTTPStatus.PARTIAL_CONTENT or not self.ranged:
            return False
        return _kind_of({name.lower(): value for name, value in response.headers}) is not None

    def response(self, method: str, status: int, headers: Headers) -> tuple[Headers, "BodyRewriter | None"]:
        """Return the response's fields, with names in lower case, and the rewriter of its body if it has one."""
        urls, tags = self.rewriting.urls, self.rewriting.tags
        changes: dict[bytes, _Rewrite] = {
            b"link": urls.rewrite_link,
            b"refresh": urls.rewrite_refresh,
            b"service-worker-allowed": urls.rewrite,
            **dict.fromkeys(_POLICIES, self.policy.rewrite),
        }
        joined: dict[bytes, bytes] = {}
        for name, value in headers:
            joined[name] = joined[name] + b"," + value if name in joined else value
        kind = _kind_of(joined)
        if status == HTTPStatus.NOT_MODIFIED and self.conditional:
            changes[b"etag"] = tags.mark
        if kind is None or status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED, HTTPStatus.PARTIAL_CONTENT):
            return _rewrite_fields(headers, changes), None
        codings = codings_of(joined.get(b"content-encoding", b""))
        changes[b"etag"] = tags.mark
        # Without a tag only the date remains, which does not change when the script in the page changes.
        dropped = _BODY_FIELDS if b"etag" in joined else _BODY_FIELDS | {b"last-modified"}
        result = _rewrite_fields([pair for pair in headers if pair[0] not in dropped], changes)
        zipped = bool(codings) and self.gzip
        if zipped:
            result.append((b"content-encoding", b"gzip"))
        if codings or kind != _CSS:
            result.append((b"vary", b"accept-encoding, sec-fetch-dest"))
        if method == "HEAD":
            return result, None
        rewriter: HtmlRewriter | CssRewriter
        if kind == _CSS:
            rewriter = CssRewriter(urls)
        else:
            script = self.rewriting.script.element if self.document else b""
            rewriter = HtmlRewriter(urls, self.policy.rewrite, script=script, xhtml=kind == _XHTML)
        return result, BodyRewriter(rewriter, Decoder(codings), zipped=zipped)


def _rewrite_fields(headers: Headers, rules: dict[bytes, _Rewrite]) -> Headers:
    """Return the fields with the values of these names rewritten."""
    return [(name, rules[name](value) if name in rules else value) for name, value in headers]


def _kind_of(headers: dict[bytes, bytes]) -> bytes | None:
    """Return the media type if the body can be rewritten, else None."""
    content_type = headers.get(b"content-type", b"")
    kind = content_type.partition(b";")[0].strip().lower()
    if kind not in (_HTML, _XHTML, _CSS) or _OTHER_CHARSET.search(content_type):
        return None
    if headers.get(b"content-disposition", b"").lstrip().lower().startswith(b"attachment"):
        return None  # a file to save
    # RFC 9111 §5.2.2.6
    if b"no-transform" in [part.strip().lower() for part in headers.get(b"cache-control", b"").split(b",")]:
        return None
    return kind if can_decode(codings_of(headers.get(b"content-encoding", b""))) else None


@dataclass(slots=True)
class BodyRewriter:
    """Rewrites a body as it arrives. Raises `InvalidResponse` if the body cannot be decoded."""

    rewriter: HtmlRewriter | CssRewriter
    decoder: Decoder
    zipped: bool
    _zip: "zlib._Compress | None" = field(init=False)
    _begin: bytes | None = field(init=False, default=b"")  # until it is known whether the body is UTF-16
    _is_utf16: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._zip = zlib.compressobj(_GZIP_LEVEL, wbits=31) if self.zipped else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the rewritten bytes in pieces; all that can be sent is yielded before more data is needed."""
        for piece in self.decoder.feed(data):
            if out := self._encode(self._rewrite(piece)):
                yield out
        if self._zip is not None and (out := self._zip.flush(zlib.Z_SYNC_FLUSH)):
            yield out

    def close(self) -> bytes:
        """Return the last bytes of the body."""
        self.decoder.close()
        rest = b"" if self._begin is None else self.rewriter.feed(self._begin)
        rest = b"" if self._is_utf16 else rest + self.rewriter.close()
        return self._encode(rest) + (self._zip.flush() if self._zip is not None else b"")

    def _encode(self, data: bytes) -> bytes:
        return self._zip.compress(data) if self._zip is not None and data else data

    def _rewrite(self, data: bytes) -> bytes:
        if self._begin is not None:
            data = self._begin + data
            if len(data) < 2:
                self._begin = data
                return b""
            self._begin, self._is_utf16 = None, data.startswith(_UTF16_MARKS)
        return data if self._is_utf16 else self.rewriter.feed(data)
