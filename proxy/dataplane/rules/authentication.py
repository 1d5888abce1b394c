"""Rules for authentication of a connection instead of a request, without I/O: NTLM and Negotiate (RFC 4559 §5).

After such an authentication the upstream serves all requests on the connection as the same user. A scheme that is not
known to authenticate each request by itself counts as one of these.
"""

import re
from enum import Enum, auto

# From the IANA registry of HTTP authentication schemes, and common ones that are not registered.
_PER_REQUEST = frozenset(
    {
        b"basic", b"bearer", b"digest", b"dpop", b"gnap", b"hoba", b"oauth", b"privatetoken", b"vapid", b"token",
        b"apikey", b"api-key", b"aws4-hmac-sha256", b"hawk", b"key", b"signature", b"sharedkey", b"concealed",
    }
)  # fmt: skip
_PER_CONNECTION = re.compile(rb"\b(?:ntlm|negotiate|kerberos|nego2|sspi)(?:\s|\Z)", re.IGNORECASE)
# The first message of a client: NTLM's NEGOTIATE_MESSAGE, or a GSS-API initial token (RFC 4178 §4.2).
_FIRST_MESSAGE = re.compile(rb"\S+\s+(?:TlRMTVNTUAAB|Y)")
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"?')
_CHALLENGE = re.compile(rb"([^\s=,]+)(?:\s+([^\s=,]+=*)|\s|\Z)")


class Handshake(Enum):
    """The part of a request in the authentication of its connection."""

    NONE = auto()
    STARTS = auto()
    CONTINUES = auto()


def handshake_of(authorization: bytes) -> Handshake:
    """Return the part of a request with this `Authorization`."""
    scheme = authorization.strip().partition(b" ")[0].strip().lower()
    if not scheme or (scheme in _PER_REQUEST and not _PER_CONNECTION.search(authorization)):
        return Handshake.NONE
    return Handshake.STARTS if _FIRST_MESSAGE.match(authorization.strip()) else Handshake.CONTINUES


def is_connection_bound(challenge: bytes) -> bool:
    """Return whether a `WWW-Authenticate` value names a scheme that may authenticate the connection."""
    named = any(scheme.lower() not in _PER_REQUEST for scheme, _ in _schemes(challenge))
    return named or _PER_CONNECTION.search(challenge) is not None


def expects_next_message(challenge: bytes) -> bool:
    """Return whether a `WWW-Authenticate` value has a message, to which the client responds on the connection."""
    return any(message and scheme.lower() not in _PER_REQUEST for scheme, message in _schemes(challenge))


def _schemes(challenge: bytes) -> list[tuple[bytes, bytes]]:
    """Return the schemes of challenges (RFC 9110 §11.6.1), each with its token68 if it has one."""
    parts = [part.strip() for part in _QUOTED.sub(b"", challenge).split(b",")]
    return [(found[1], found[2] or b"") for part in parts if (found := _CHALLENGE.match(part))]
