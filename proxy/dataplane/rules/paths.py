"""Rules for paths, without I/O: mapping to and from the upstream's paths, and the check of a token's scope."""

import re
import unicodedata
from urllib.parse import unquote_to_bytes

from proxy.dataplane.errors import BAD_REQUEST, SCOPE_DENIED, Denied

PREFIX = b"/api/v1/proxy"

# Characters that two programs could read differently: escaped slashes, backslashes and dots; semicolons (path
# parameters, RFC 3986 §3.3), escaped or not; control characters; characters that end a path.
_AMBIGUOUS = re.compile(
    rb"%2f|%5c|%2e|%25|%3b|[\\;#?\x00-\x20\x7f-\xff]|%[01][0-9a-f]|%7f|%(?![0-9a-f]{2})", re.IGNORECASE
)
# A dot segment (RFC 3986 §3.3), also if a server that decodes first would end the path after it.
_DOT_SEGMENT = re.compile(rb"/\.\.?(?:/|%23|%3f|\Z)", re.IGNORECASE)
_NON_ASCII_ESCAPE = re.compile(rb"%[89a-f][0-9a-f]", re.IGNORECASE)
# Browsers drop tabs and read a backslash as a slash (WHATWG URL §4.4).
_OTHER_HOST = re.compile(rb"/\t*[/\\]")
_ABSOLUTE = re.compile(rb"(?:(https?):)?//([^/?#]*)", re.IGNORECASE)


def is_proxied(raw_path: bytes) -> bool:
    """Return whether a request path, as received, belongs to the data plane."""
    return raw_path.startswith(PREFIX) and raw_path[len(PREFIX) : len(PREFIX) + 1] in (b"", b"/")


def upstream_path(raw_path: bytes, prefix: bytes = PREFIX) -> bytes:
    """Return the path for the upstream: the bytes after the prefix, at least `/`."""
    return raw_path[len(prefix) :] or b"/"


def check_certificates_only(path: bytes) -> None:
    """Check that the path is `/certificates` or below it.

    Raises `Denied`: `bad_request` for a path that two programs could read differently (dot segments, encoded
    slashes or dots, backslashes, `;`, control characters), `scope_denied` for any other.
    """
    segments = path.split(b"/")
    if _AMBIGUOUS.search(path) or _DOT_SEGMENT.search(path) or not _reads_one_way(path):
        raise Denied(BAD_REQUEST)
    # An empty segment (`//`) is collapsed by some servers.
    if b"" in segments[1:-1]:
        raise Denied(BAD_REQUEST)
    if segments[1] != b"certificates":
        raise Denied(SCOPE_DENIED)


def _reads_one_way(path: bytes) -> bool:
    """Return whether all programs decode the escapes alike.

    They must be valid UTF-8 (an overlong `/` or `.` is not, RFC 3629 §3), without control characters and without
    characters that some servers fold to an ASCII delimiter (Unicode NFKC).
    """
    if not _NON_ASCII_ESCAPE.search(path):
        return True
    try:
        text = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    others = [char for char in text if not char.isascii()]
    return not any(
        unicodedata.category(char) == "Cc" or set("./\\;%#?") & set(unicodedata.normalize("NFKC", char))
        for char in others
    )


def rewrite_location(value: bytes, target_origin: bytes, target_path: bytes, prefix: bytes = PREFIX) -> bytes:
    """Return a `Location` (RFC 9110 §10.2.2) with the prefix if it points to the upstream; any other unchanged.

    Without a prefix, a path that begins with two slashes would name another host (RFC 3986 §4.2), so `/.` is put
    before them.
    """
    scheme, _, authority = target_origin.partition(b"://")
    absolute, path = _ABSOLUTE.match(value), value
    if absolute:
        if _origin(absolute[1] or scheme, absolute[2]) != _origin(scheme, authority):
            return value
        path = value[absolute.end() :]
        path = path if path.startswith(b"/") else b"/" + path
    elif not path.startswith(b"/"):
        return value
    moved = under_prefix(path, target_path, prefix)
    return b"/." + moved if moved != value and _OTHER_HOST.match(moved) else moved


def under_prefix(path: bytes, target_path: bytes, prefix: bytes = PREFIX) -> bytes:
    """Return the gateway's path for a path of the upstream, whose own paths begin with `target_path`."""
    below = path[len(target_path) :]
    inside = path.startswith(target_path) and below[:1] in (b"", b"/", b"?", b"#")
    path = prefix + (below if inside else path)
    return path if path.startswith(b"/") else b"/" + path


def _origin(scheme: bytes, authority: bytes) -> tuple[bytes, bytes]:
    """Return a comparable origin (RFC 3986 §6.2): in lower case, without the scheme's default port."""
    scheme = scheme.lower()
    return scheme, authority.lower().removesuffix(b":443" if scheme == b"https" else b":80")
