"""IP addresses as clients and proxies write them."""

import ipaddress

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


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


def normalise_ip_address(text: str) -> str | None:
    """Return the IP address in `text` in its usual form, as the database keeps it, or None if there is none."""
    parsed = parse_ip_address(text)
    return None if parsed is None else str(parsed)
