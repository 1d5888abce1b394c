"""Streaming rewriter of HTML: URLs in attributes, `<style>` and `style`, and the gateway's script.

Everything else passes byte for byte. The tokenizer of HTML (13.2.5) works on bytes and finds tags and their
attributes; no tree is built. At most one tag of `MAX_TAG_BYTES` is kept; a longer one passes unchanged. Each byte is
read a limited number of times.
"""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from proxy.dataplane.rewriting.css import CssRewriter
from proxy.dataplane.rewriting.urls import UrlRewriter

MAX_TAG_BYTES = 64 * 1024
MAX_ATTRIBUTES = 256  # of a tag; further ones pass unchanged
_BLANK = re.compile(rb"[ \t\r\n\f\xef\xbb\xbf]*")  # with the bytes of a byte order mark
_NAME_END = re.compile(rb"[^ \t\r\n\f/>]*")
_BETWEEN = re.compile(rb"[ \t\r\n\f/]*")
_ATTRIBUTE_END = re.compile(rb"[^ \t\r\n\f/>=]*")
_SPACE = re.compile(rb"[ \t\r\n\f]*")
_VALUE_END = re.compile(rb"[^ \t\r\n\f>]*")
_PLAIN_TAG = re.compile(rb"<(/?[A-Za-z][A-Za-z0-9-]*)>")
_LETTER = re.compile(rb"[A-Za-z]")
_COMMENT_AT_ONCE = re.compile(rb"<!---?>")
_COMMENT_END = re.compile(rb"--!?>")
_CDATA_END, _BOGUS_END = re.compile(rb"\]\]>"), re.compile(rb">")
_SCRIPT_TOKEN = re.compile(rb"<!--|-->|<(/?)script(?=[ \t\r\n\f/>])", re.IGNORECASE)
_SCRIPT_BEGUN = re.compile(rb"(?:<[!/\w-]{0,8}|--?)\Z")
_QUOTE_ENTITY = re.compile(rb"&(?:quot|apos|#0*3[49]|#[xX]0*2[27]);\s*")
# Elements whose content is text to a browser (HTML 13.2.6.4). `<noscript>` is not one of them in browsers without
# scripts.
_RAW = frozenset({b"script", b"style", b"textarea", b"title", b"xmp", b"iframe", b"noembed", b"noframes"})
_RAW_END = {name: re.compile(rb"</" + name + rb"(?=[ \t\r\n\f/>])", re.IGNORECASE) for name in _RAW}
_FOREIGN = frozenset({b"svg", b"math"})
_ADDRESS = frozenset(
    {b"href", b"src", b"action", b"formaction", b"poster", b"background", b"manifest", b"xlink:href"}
)


class _State(Enum):
    TEXT = auto()
    COMMENT = auto()
    BOGUS = auto()  # a bogus comment: until the next `>`
    CDATA = auto()
    TAG = auto()
    RAW = auto()  # the content of one of `_RAW`


class _In(Enum):
    """The position in a tag."""

    NAME = auto()
    BETWEEN = auto()
    ATTRIBUTE = auto()
    AFTER_ATTRIBUTE = auto()
    BEFORE_VALUE = auto()
    UNQUOTED = auto()
    QUOTED = auto()


@dataclass(frozen=True, slots=True)
class _Attribute:
    """The positions of an attribute in its tag."""

    begin: int
    name_end: int
    value: int
    value_end: int
    end: int


class HtmlRewriter:
    """`feed` returns the output so far, `close` the rest; the result does not depend on how the input is cut."""

    def __init__(
        self, urls: UrlRewriter, policy: Callable[[bytes], bytes], *, script: bytes = b"", xhtml: bool = False
    ) -> None:
        """Take the rewriter of a `<meta>` Content-Security-Policy, and the script as a whole element."""
        self._urls = urls
        self._policy = policy
        self._script = script  # empty when it is in the output
        self._xhtml = xhtml
        self._state = _State.TEXT
        self._buffer = bytearray()
        self._at = 0  # bytes before this position are in the output
        self._out: list[bytes] = []
        self._foreign = 0  # open <svg> and <math> elements
        # The current tag
        self._in = _In.NAME
        self._scan = 0
        self._quote = b""
        self._marks: list[int] = []
        self._attributes: list[_Attribute] = []
        self._name = b""
        self._passing = False  # the tag is too long
        # The current raw content
        self._raw = b""
        self._css: CssRewriter | None = None
        self._escaped = 0  # in a script: 1 inside `<!--`, 2 inside a <script> in it (HTML 13.2.5.20, .27)

    def feed(self, data: bytes) -> bytes:
        self._buffer += data
        while _STEPS[self._state](self):
            pass
        del self._buffer[: self._at]
        self._scan -= self._at
        self._at = 0
        out, self._out = self._out, []
        return b"".join(out)

    def close(self) -> bytes:
        """Return the rest unchanged: a tag without an end is not a tag."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        if self._css is not None:
            return self._css.feed(rest) + self._css.close()
        return self._before_content(rest) if self._state in (_State.TEXT, _State.TAG) else rest

    def _emit(self, end: int) -> None:
        if end > self._at:
            self._out.append(bytes(self._buffer[self._at : end]))
            self._at = end

    def _before_content(self, text: bytes) -> bytes:
        """Return the text with the script before its first byte that is not blank; not in XML documents."""
        if not self._script or self._xhtml:
            return text
        blank = _BLANK.match(text)
        begin = blank.end() if blank else 0
        if begin == len(text):
            return text
        script, self._script = self._script, b""
        return text[:begin] + script + text[begin:]

    # --- Between tags

    def _text(self) -> bool:
        buffer = self._buffer
        begin = buffer.find(b"<", self._at)
        end = len(buffer) if begin < 0 else begin
        if end > self._at:
            self._out.append(self._before_content(bytes(buffer[self._at : end])))
            self._at = end
        return begin >= 0 and self._markup()

    def _markup(self) -> bool:
        """Read the markup at a `<`."""
        begun = bytes(self._buffer[self._at : self._at + 9])
        if begun in (b"<", b"</") or (len(begun) < 9 and (b"<![CDATA[".startswith(begun) or begun == b"<!-")):
            return False
        if plain := _PLAIN_TAG.match(self._buffer, self._at):  # like most tags
            self._begin_tag(1)
            self._scan, self._name = plain.end(), plain[1].lower()
            self._end_tag()
        elif _LETTER.match(begun, 1) or (begun[1:2] == b"/" and _LETTER.match(begun, 2)):
            self._begin_tag(2 if begun[1:2] == b"/" else 1)
        elif begun.startswith(b"<!--"):
            return self._begin_comment(begun)
        elif begun == b"<![CDATA[" and (self._foreign or self._xhtml):
            self._state = _State.CDATA
        elif begun[1:2] in (b"!", b"?", b"/"):
            self._state = _State.BOGUS
        else:
            self._out.append(self._before_content(b"<"))
            self._at += 1
        return True

    def _begin_comment(self, begun: bytes) -> bool:
        at_once = _COMMENT_AT_ONCE.match(begun)
        if at_once:
            self._emit(self._at + at_once.end())
        elif begun in (b"<!--", b"<!---"):
            return False
        else:
            self._emit(self._at + 4)
            self._state = _State.COMMENT
        return True

    def _comment(self) -> bool:
        return self._until(_COMMENT_END.search(self._buffer, self._at), held=3)

    def _cdata(self) -> bool:
        return self._until(_CDATA_END.search(self._buffer, self._at), held=2)

    def _bogus(self) -> bool:
        return self._until(_BOGUS_END.search(self._buffer, self._at), held=0)

    def _until(self, found: re.Match[bytes] | None, held: int) -> bool:
        if found is None:
            self._emit(len(self._buffer) - held)
            return False
        self._emit(found.end())
        self._state = _State.TEXT
        return True

    # --- Tags

    def _begin_tag(self, name: int) -> None:
        self._state, self._in = _State.TAG, _In.NAME
        self._scan = self._at + name
        self._marks, self._attributes, self._name = [], [], b""
        self._passing = False

    def _tag(self) -> bool:
        """Read the tag (HTML 13.2.5.8 to .40), and rewrite it when it is complete."""
        buffer = self._buffer
        while self._scan < len(buffer):
            if _TAG_STEPS[self._in](self):
                self._end_tag()
                return True
        if self._passing:
            self._emit(self._scan)
        elif self._scan - self._at > MAX_TAG_BYTES:
            self._pass_tag()
        return False

    def _pass_tag(self) -> None:
        if self._script and not self._xhtml:
            self._out.append(self._script)
            self._script = b""
        self._passing = True
        self._emit(self._scan)

    def _byte(self) -> bytes:
        return bytes(self._buffer[self._scan : self._scan + 1])

    def _skip(self, pattern: re.Pattern[bytes]) -> bytes:
        """Return the byte after the match of the pattern; empty if it has not come yet."""
        found = pattern.match(self._buffer, self._scan)
        if found:
            self._scan = found.end()
        return self._byte()

    def _mark(self) -> None:
        if not self._passing:
            self._marks.append(self._scan - self._at)

    def _in_name(self) -> bool:
        following = self._skip(_NAME_END)
        if following:
            name = b"" if self._passing else bytes(self._buffer[self._at + 1 : self._scan])
            self._name = name.lower()
            self._in = _In.BETWEEN
        return False

    def _in_between(self) -> bool:
        following = self._skip(_BETWEEN)
        if following == b">":
            self._scan += 1
            return True
        if following:
            self._mark()
            self._scan += 1  # the first byte of a name may be any, even `=`
            self._in = _In.ATTRIBUTE
        return False

    def _in_attribute(self) -> bool:
        following = self._skip(_ATTRIBUTE_END)
        if following:
            self._mark()
            self._in = _In.AFTER_ATTRIBUTE
        return False

    def _after_attribute(self) -> bool:
        following = self._skip(_SPACE)
        if following == b"=":
            self._scan += 1
            self._in = _In.BEFORE_VALUE
        elif following:
            self._note(self._marks[-1] if self._marks else 0)
            self._in = _In.BETWEEN
        return False

    def _before_value(self) -> bool:
        following = self._skip(_SPACE)
        if following in (b'"', b"'"):
            self._scan += 1
            self._quote = following
            self._in = _In.QUOTED
            self._mark()
        elif following == b">":
            self._note(self._marks[-1] if self._marks else 0)
            self._in = _In.BETWEEN
        elif following:
            self._in = _In.UNQUOTED
            self._mark()
        return False

    def _unquoted(self) -> bool:
        following = self._skip(_VALUE_END)
        if following:
            self._mark()
            self._note(self._scan - self._at)
            self._in = _In.BETWEEN
        return False

    def _quoted(self) -> bool:
        end = self._buffer.find(self._quote, self._scan)
        if end < 0:
            self._scan = len(self._buffer)
            return False
        self._scan = end
        self._mark()
        self._scan += 1
        self._note(self._scan - self._at)
        self._in = _In.BETWEEN
        return False

    def _note(self, end: int) -> None:
        if not self._passing and len(self._attributes) < MAX_ATTRIBUTES:
            begin, name_end, value, value_end = (*self._marks, end, end)[:4]
            self._attributes.append(_Attribute(begin, name_end, value, value_end, end))
        self._marks = []

    def _end_tag(self) -> None:
        self._state = _State.TEXT
        tag, name = bytes(self._buffer[self._at : self._scan]), self._name
        if not self._passing and len(tag) > MAX_TAG_BYTES:
            self._pass_tag()
        elif not self._passing and not name.startswith(b"/"):
            tag = self._with_script(self._rewrite(tag), name)
        elif not self._passing:
            tag = self._with_script(tag, name)
        if self._scan > self._at:
            self._out.append(tag)
            self._at = self._scan
        closed = not self._passing and tag.endswith(b"/>")
        if name.lstrip(b"/") in _FOREIGN and not closed:
            self._foreign = max(0, self._foreign + (-1 if name.startswith(b"/") else 1))
        if name in _RAW and not (closed and (self._foreign or self._xhtml)):
            self._raw, self._state, self._escaped = name, _State.RAW, 0
            self._css = CssRewriter(self._urls) if name == b"style" else None

    def _with_script(self, tag: bytes, name: bytes) -> bytes:
        """Return the tag with the script as the first element of the head, or before the tag that implies a head.

        See HTML 13.2.6.4.2 and .3.
        """
        if not self._script or name == b"html" or (self._xhtml and (name != b"head" or tag.endswith(b"/>"))):
            return tag
        script, self._script = self._script, b""
        return tag + script if name == b"head" else script + tag

    # --- Attributes

    def _rewrite(self, tag: bytes) -> bytes:
        parts, at = [], 0
        for each in self._attributes:
            attribute = tag[each.begin : each.name_end].lower()
            if attribute == b"integrity" and self._is_stylesheet(tag):
                parts.append(tag[at : each.begin])
                at = each.end
                continue
            rewrite = self._rewriter_of(attribute, tag)
            if rewrite is not None and each.value_end > each.value:
                value = rewrite(tag[each.value : each.value_end])
                unquoted = each.end == each.value_end and b" " in value
                parts += [tag[at : each.value], b'"' + value + b'"' if unquoted else value]
                at = each.value_end
        return b"".join([*parts, tag[at:]]) if parts else tag

    def _rewriter_of(self, attribute: bytes, tag: bytes) -> Callable[[bytes], bytes] | None:
        urls = self._urls
        if attribute in _ADDRESS or (attribute == b"data" and self._name == b"object"):
            return urls.rewrite
        if attribute in (b"srcset", b"imagesrcset"):
            return urls.rewrite_srcset
        if attribute == b"ping":
            return urls.rewrite_list
        if attribute == b"style":
            return self._declarations
        if attribute == b"content" and self._name == b"meta":
            kind = self._value(tag, b"http-equiv").lower()
            if kind == b"refresh":
                return urls.rewrite_refresh
            if kind in (b"content-security-policy", b"content-security-policy-report-only"):
                return self._meta_policy
        return None

    def _value(self, tag: bytes, attribute: bytes) -> bytes:
        """Return the value of the first attribute of this name, which browsers use (HTML 13.2.5.33)."""
        for each in self._attributes:
            if tag[each.begin : each.name_end].lower() == attribute:
                return tag[each.value : each.value_end].strip()
        return b""

    def _is_stylesheet(self, tag: bytes) -> bool:
        """Return whether this links CSS that is rewritten, so that its hash changes."""
        if self._name != b"link":
            return False
        kinds = self._value(tag, b"rel").lower().split()
        if b"stylesheet" not in kinds and self._value(tag, b"as").lower() != b"style":
            return False
        return self._urls.is_own(self._value(tag, b"href"))

    def _declarations(self, value: bytes) -> bytes:
        """Return the rewritten CSS of an attribute, in which quotes may be written `&quot;`."""
        css = CssRewriter(self._urls, self._rewrite_after_quote)
        return css.feed(value) + css.close()

    def _rewrite_after_quote(self, url: bytes) -> bytes:
        entity = _QUOTE_ENTITY.match(url)
        begin = entity.end() if entity else 0
        return url[:begin] + self._urls.rewrite(url[begin:])

    def _meta_policy(self, value: bytes) -> bytes:
        policy = html.unescape(value.decode("latin-1")).encode("latin-1", "xmlcharrefreplace")
        rewritten = self._policy(policy)
        return value if rewritten == policy else html.escape(rewritten.decode("latin-1")).encode("latin-1")

    # --- Raw content

    def _raw_content(self) -> bool:
        if self._raw == b"script":
            return self._script_content()
        buffer = self._buffer
        found = _RAW_END[self._raw].search(buffer, self._at)
        if found is None:
            held = buffer.rfind(b"<", max(self._at, len(buffer) - len(self._raw) - 2))
            self._emit_raw(len(buffer) if held < 0 else held)
            return False
        self._emit_raw(found.start())
        if self._css is not None:
            self._out.append(self._css.close())
            self._css = None
        self._state = _State.TEXT
        return True

    def _emit_raw(self, end: int) -> None:
        if self._css is None:
            self._emit(end)
        else:
            self._out.append(self._css.feed(bytes(self._buffer[self._at : end])))
            self._at = end

    def _script_content(self) -> bool:
        buffer, search = self._buffer, self._at
        while token := _SCRIPT_TOKEN.search(buffer, search):
            search = token.end()
            if token[0] == b"<!--":
                self._escaped = self._escaped or 1
                search -= 2  # `<!-->` ends at once
            elif token[0] == b"-->":
                self._escaped = 0
            elif not token[1]:
                self._escaped = 2 if self._escaped else 0
            elif self._escaped == 2:
                self._escaped = 1
            else:
                self._emit(token.start())
                self._state = _State.TEXT
                return True
        begun = _SCRIPT_BEGUN.search(buffer, max(search, len(buffer) - 9))
        self._emit(begun.start() if begun else len(buffer))
        return False


_STEPS: dict[_State, Callable[[HtmlRewriter], bool]] = {
    _State.TEXT: HtmlRewriter._text,  # noqa: SLF001  (same class)
    _State.COMMENT: HtmlRewriter._comment,  # noqa: SLF001
    _State.BOGUS: HtmlRewriter._bogus,  # noqa: SLF001
    _State.CDATA: HtmlRewriter._cdata,  # noqa: SLF001
    _State.TAG: HtmlRewriter._tag,  # noqa: SLF001
    _State.RAW: HtmlRewriter._raw_content,  # noqa: SLF001
}
_TAG_STEPS: dict[_In, Callable[[HtmlRewriter], bool]] = {
    _In.NAME: HtmlRewriter._in_name,  # noqa: SLF001
    _In.BETWEEN: HtmlRewriter._in_between,  # noqa: SLF001
    _In.ATTRIBUTE: HtmlRewriter._in_attribute,  # noqa: SLF001
    _In.AFTER_ATTRIBUTE: HtmlRewriter._after_attribute,  # noqa: SLF001
    _In.BEFORE_VALUE: HtmlRewriter._before_value,  # noqa: SLF001
    _In.UNQUOTED: HtmlRewriter._unquoted,  # noqa: SLF001
    _In.QUOTED: HtmlRewriter._quoted,  # noqa: SLF001
}
