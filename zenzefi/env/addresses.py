"""Settings that are networks, URLs and hosts."""

import ipaddress
import re
from urllib.parse import urlsplit

from zenzefi.env.reading import collecting, raw_text, raw_words, wrong, wrong_secret

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@collecting
def networks(name: str) -> tuple[Network, ...]:
    """Return the networks of a comma-separated list of addresses and networks."""
    result = []
    for word in raw_words(name):
        try:
            result.append(_as_ipv4(ipaddress.ip_network(word)))
        except ValueError as error:
            raise wrong(name, word, "an IP address or a network such as 10.0.0.0/8") from error
    return tuple(result)


def _as_ipv4(network: Network) -> Network:
    """Return an IPv4-mapped network (`::ffff:10.0.0.0/104`) as IPv4, as addresses are compared."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    return ipaddress.ip_network((mapped, network.prefixlen - 96)) if mapped and network.prefixlen >= 96 else network


@collecting
def url(name: str, default: str = "") -> str:
    """Return an absolute http(s) URL without query, credentials and trailing slash; or an empty text."""
    value = (raw_text(name) or default).rstrip("/")
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if "@" in value:
        raise wrong_secret(name, "a URL without user name and password, such as http://10.0.0.5:61000")
    if not usable or parts.query or parts.fragment:
        raise wrong(name, value, "an absolute URL such as http://10.0.0.5:61000, without query or user name")
    return value


@collecting
def host(name: str, *, scheme: str) -> str:
    """Return a host name or address in lower case, without the default port of the scheme; or an empty text."""
    value = raw_text(name).lower()
    try:
        usable = _HOST.fullmatch(value) and urlsplit(f"//{value}").port != 0
    except ValueError:
        usable = False
    if value and not usable:
        raise wrong(name, value, "a host name such as proxy.example, with a port if it is not the default one")
    return _without_default_port(value, scheme)


_HOST = re.compile(r"(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


@collecting
def origin(name: str, default: str) -> str:
    """Return an http(s) URL of a scheme and a host alone, in the form in which browsers send it as `Origin`."""
    value = url(name, default)
    parts = urlsplit(value)
    if parts.path:
        raise wrong(name, value, "a URL without a path, such as https://zenzefi.example")
    return f"{parts.scheme}://{_without_default_port(parts.netloc.lower(), parts.scheme)}"


def _without_default_port(host: str, scheme: str) -> str:
    return host.removesuffix(":443" if scheme == "https" else ":80")
