"""The client's address and scheme, as trusted proxies report them."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dataplane.asgi import FORWARDED_FOR
from proxy.dataplane.rules.client_address import (
    Client,
    is_trusted,
    resolve_client,
)
from proxy.dataplane.server.trusted_proxies import TrustedForwarding
from zenzefi.common.ip_addresses import parse_ip_address

TRUSTED = tuple(map(ipaddress.ip_network, ["10.0.0.0/8", "127.0.0.1", "fd00::/8"]))
PEER, PROXY, INNER = "203.0.113.9", "10.0.0.1", "10.0.0.2"


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.255.0.1", True), ("::ffff:10.0.0.1", True), ("127.0.0.1", True), ("fd12::1", True), ("[fd12::1]", True),
        ("11.0.0.1", False), ("127.0.0.2", False), ("::1", False), ("::ffff:11.0.0.1", False), ("fe80::1", False),
        ("", False), ("testclient", False),
    ],
)  # fmt: skip
def test_trusted_addresses(peer, trusted):
    assert is_trusted(peer, TRUSTED) is trusted
    assert is_trusted(peer, ()) is False


# cases C32, G79
@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        (PEER, "", Client(PEER, PEER)),
        (PEER, "192.0.2.1", Client(PEER, PEER)),
        (PEER, "127.0.0.1, 10.0.0.1", Client(PEER, PEER)),
        (PROXY, "", Client(PROXY, PROXY)),
        (PROXY, "192.0.2.1", Client("192.0.2.1", f"192.0.2.1, {PROXY}")),
        # Entries before the first untrusted address are not verified.
        (PROXY, "127.0.0.1, 192.0.2.1", Client("192.0.2.1", f"192.0.2.1, {PROXY}")),
        (PROXY, f"spoofed, 192.0.2.1, {INNER}", Client("192.0.2.1", f"192.0.2.1, {INNER}, {PROXY}")),
        (PROXY, f"{INNER}", Client(INNER, f"{INNER}, {PROXY}")),
        (PROXY, f"10.0.0.3 , {INNER}", Client("10.0.0.3", f"10.0.0.3, {INNER}, {PROXY}")),
        (PROXY, "192.0.2.1, garbage", Client(PROXY, PROXY)),
        (PROXY, f"garbage, {INNER}", Client(INNER, f"{INNER}, {PROXY}")),
        (PROXY, "192.0.2.1,,", Client("192.0.2.1", f"192.0.2.1, {PROXY}")),
        (PROXY, "::ffff:192.0.2.1", Client("192.0.2.1", f"192.0.2.1, {PROXY}")),
        (PROXY, "2001:DB8::5", Client("2001:db8::5", f"2001:db8::5, {PROXY}")),
        (f"::ffff:{PROXY}", "192.0.2.1", Client("192.0.2.1", f"192.0.2.1, ::ffff:{PROXY}")),
        (PROXY, "fe80::1%eth0", Client("fe80::1", f"fe80::1, {PROXY}")),
    ],
)
def test_the_client_is_the_last_untrusted_hop(peer, forwarded_for, client):
    assert resolve_client(peer, forwarded_for, TRUSTED) == client


_HOPS = st.one_of(
    st.sampled_from(
        [PROXY, INNER, "::ffff:10.9.9.9", "fd00::1", "192.0.2.1", "8.8.8.8", "", " ", "x", "%", "fe80::1%e"]
    ),
    st.text(max_size=8),
)


# cases C32, G79
@given(st.sampled_from([PEER, PROXY, "fd00::7", "8.8.8.8"]), st.lists(_HOPS, max_size=6).map(",".join))
def test_claims_of_untrusted_hops_are_ignored_and_nothing_raises(peer, forwarded_for):
    found = resolve_client(peer, forwarded_for, TRUSTED)
    chain = found.chain.split(", ")
    assert chain[0] == found.ip
    assert chain[-1] == peer
    # All hops after the client are trusted, and each hop is an address.
    assert all(is_trusted(hop, TRUSTED) for hop in chain[1:])
    assert all(parse_ip_address(hop) is not None for hop in chain)
    if not is_trusted(peer, TRUSTED):
        assert found == Client(peer, peer)


async def _forwarded_scope(client, headers, kind="http", trusted=TRUSTED):
    seen = []

    async def application(scope, _receive, _send):
        seen.append(scope)

    scheme = "ws" if kind == "websocket" else "http"
    scope = {"type": kind, "client": client, "scheme": scheme, "headers": headers}
    await TrustedForwarding(application, trusted)(scope, None, None)
    return seen[0]


XFF = (b"x-forwarded-for", b"192.0.2.1")
HTTPS = (b"x-forwarded-proto", b"https")


async def test_a_trusted_proxy_names_the_client_and_the_scheme():
    scope = await _forwarded_scope((PROXY, 5), [XFF, HTTPS])
    assert (scope["client"], scope["scheme"], scope[FORWARDED_FOR]) == (
        ("192.0.2.1", 5), "https", f"192.0.2.1, {PROXY}",
    )  # fmt: skip


async def test_several_header_lines_are_one_list():
    scope = await _forwarded_scope(
        (PROXY, 5), [(b"x-forwarded-for", b"spoofed, 192.0.2.1"), (b"x-forwarded-for", b"10.0.0.2")]
    )
    assert scope["client"] == ("192.0.2.1", 5)


async def test_the_scheme_of_a_websocket():
    assert (await _forwarded_scope((PROXY, 5), [HTTPS], "websocket"))["scheme"] == "wss"
    assert (await _forwarded_scope((PROXY, 5), [(b"x-forwarded-proto", b"http")], "websocket"))["scheme"] == "ws"


# case C32
@pytest.mark.parametrize("trusted", [TRUSTED, ()])
async def test_an_untrusted_peer_sets_neither_client_nor_scheme(trusted):
    peer = PEER if trusted else PROXY
    scope = await _forwarded_scope((peer, 5), [XFF, HTTPS], trusted=trusted)
    assert (scope["client"], scope["scheme"]) == ((peer, 5), "http")
    assert FORWARDED_FOR not in scope


@pytest.mark.parametrize("proto", [b"", b"ftp", b"https, http", b"javascript", b"HTTPS\xff"])
async def test_an_unknown_scheme_is_ignored(proto):
    assert (await _forwarded_scope((PROXY, 5), [(b"x-forwarded-proto", proto)]))["scheme"] == "http"


async def test_a_scheme_in_another_case_is_accepted():
    assert (await _forwarded_scope((PROXY, 5), [(b"x-forwarded-proto", b" HTTPS ")]))["scheme"] == "https"


async def test_fields_are_ignored_without_a_peer_and_in_the_lifespan():
    assert (await _forwarded_scope(None, [XFF, HTTPS]))["client"] is None
    seen = []

    async def application(scope, _receive, _send):
        seen.append(scope)

    await TrustedForwarding(application, TRUSTED)({"type": "lifespan"}, None, None)
    assert seen == [{"type": "lifespan"}]
