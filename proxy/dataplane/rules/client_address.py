"""The client's address behind trusted proxies, and only those (`TRUSTED_PROXIES`)."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from zenzefi.common.ip_addresses import parse_forwarded_address, parse_ip_address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Client:
    """The client's address, and the chain of addresses that the upstream gets as `X-Forwarded-For`.

    `unread` is the entry of a trusted proxy that could not be read, if there is one; `ip` is then the nearest hop.
    """

    ip: str
    chain: str
    unread: str | None = field(default=None, compare=False)


def resolve_client(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> Client:
    """Return the client: the first address in `X-Forwarded-For`, from the right, that is not a trusted proxy.

    The header of an untrusted peer is ignored.
    """
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    current, passed = peer, [peer]
    while hops and is_trusted(current, trusted):
        entry = hops.pop()
        candidate = parse_forwarded_address(entry)
        if candidate is None:
            return Client(current, ", ".join(passed), entry)
        current = str(candidate)
        passed.insert(0, current)
    return Client(current, ", ".join(passed))


def read_scheme(forwarded_proto: str) -> str | None:
    """Return the scheme in `X-Forwarded-Proto`, the first of several, or None if one cannot be read."""
    schemes = [each.strip().lower() for each in forwarded_proto.split(",") if each.strip()]
    return schemes[0] if schemes and all(each in ("http", "https") for each in schemes) else None


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Return whether the peer is in one of the trusted networks."""
    parsed = parse_ip_address(peer)
    return parsed is not None and any(parsed in network for network in trusted)
