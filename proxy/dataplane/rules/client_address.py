"""The client's address behind trusted proxies, and only those (`TRUSTED_PROXIES`)."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from zenzefi.common.ip_addresses import parse_ip_address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Client:
    """The client's address, and the chain of addresses that the upstream gets as `X-Forwarded-For`."""

    ip: str
    chain: str


def resolve_client(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> Client:
    """Return the client: the first address in `X-Forwarded-For`, from the right, that is not a trusted proxy.

    The header of an untrusted peer is ignored.
    """
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    current, passed = peer, [peer]
    while hops and is_trusted(current, trusted):
        candidate = parse_ip_address(hops.pop())
        if candidate is None:
            break
        current = str(candidate)
        passed.insert(0, current)
    return Client(current, ", ".join(passed))


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Return whether the peer is in one of the trusted networks."""
    parsed = parse_ip_address(peer)
    return parsed is not None and any(parsed in network for network in trusted)
