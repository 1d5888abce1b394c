"""IP addresses as clients and proxies write them."""

import ipaddress
import re

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1: the last 32 bits are an IPv4 address
_UNKNOWN = "unknown"
# IPv6 needs brackets before a port, which may also be obfuscated (RFC 7239 §6.3).
_WITH_PORT = re.compile(r"([0-9.]+|\[[^\]]*\])(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?")


def parse_ip_address(text: str) -> IPAddress | None:
    """Return the IP address in `text`, or None if there is none, such as behind a Unix socket.

    Brackets and the zone of a link-local address (`fe80::1%eth0`) are dropped: the zone means nothing on another
    host, and the database rejects it. An IPv4-mapped address (`::ffff:192.0.2.1`) is returned as IPv4.
    """
    try:
        parsed = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def parse_forwarded_address(text: str) -> IPAddress | None:
    """Return the IP address in an entry of `X-Forwarded-For`, or None if it is hidden or unreadable.

    Some proxies add a port (`192.0.2.1:5678`, `[2001:db8::1]:443`) or quotation marks (RFC 7239 §6).
    """
    entry = text.strip().strip('"')
    found = _WITH_PORT.fullmatch(entry)
    return parse_ip_address(found[1] if found else entry)


def normalise_ip_address(text: str) -> str | None:
    """Return the IP address in `text` in its usual form, as the database keeps it, or None if there is none."""
    parsed = parse_ip_address(text)
    return None if parsed is None else str(parsed)


def network_key(text: str | None, ipv6_prefix: int) -> str:
    """Return the key under which rate limits count a client: its IPv4 address, or its IPv6 network.

    A customer of a provider has a whole IPv6 network, so counting single addresses would limit nothing. IPv6 forms
    of an IPv4 address (mapped, NAT64, 6to4) count as that address. All clients without an address, as behind a Unix
    socket, share one key, so that guessing stays limited.
    """
    parsed = parse_ip_address(text or "")
    if parsed is None:
        return _UNKNOWN
    if isinstance(parsed, ipaddress.IPv6Address):
        embedded = _embedded_ipv4(parsed)
        return str(embedded or ipaddress.ip_network((parsed, ipv6_prefix), strict=False))
    return str(parsed)


def _embedded_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address behind a NAT64 or 6to4 address (RFC 3056)."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour
