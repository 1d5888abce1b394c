"""The client's address and scheme, as trusted proxies report them."""

import ipaddress
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dataplane.asgi import FORWARDED_FOR
from proxy.dataplane.metrics import UNREAD_FORWARDING
from proxy.dataplane.rules.client_address import (
    Client,
    is_trusted,
    resolve_client,
)
from proxy.dataplane.server import trusted_proxies
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


@pytest.mark.parametrize("proto", [b"", b"ftp", b"https, ftp", b"javascript", b"HTTPS\xff", b","])
async def test_an_unknown_scheme_is_ignored(proto):
    assert (await _forwarded_scope((PROXY, 5), [(b"x-forwarded-proto", proto)]))["scheme"] == "http"


@pytest.mark.parametrize(
    "fields", [[b" HTTPS "], [b"https, http"], [b"https,http,http"], [b"https", b"http"], [b"https,"]]
)
async def test_a_scheme_is_that_of_the_first_proxy(fields):
    headers = [(b"x-forwarded-proto", value) for value in fields]
    assert (await _forwarded_scope((PROXY, 5), headers))["scheme"] == "https"


FORMS = [
    ("192.0.2.1", "192.0.2.1"), ("192.0.2.1:5678", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"),
    ("[2001:db8::1]", "2001:db8::1"), ("[2001:db8::1]:443", "2001:db8::1"), ('"[2001:db8::1]:443"', "2001:db8::1"),
    ('"192.0.2.1:80"', "192.0.2.1"), ("192.0.2.1:_port", "192.0.2.1"), ("[fe80::1%eth0]:80", "fe80::1"),
    ("fe80::1%25eth0", "fe80::1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
    ("  192.0.2.1  ", "192.0.2.1"),
]  # fmt: skip
UNREADABLE = [
    "unknown", "_hidden", "client.example", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:123456", "[2001:db8::1]x", "[]",
    "for=192.0.2.1", "192.0.2.1 10.0.0.1", "\xff\n", "999.0.2.1:80",
]  # fmt: skip


@pytest.mark.parametrize(("entry", "client"), FORMS)
async def test_forms_of_an_address(entry, client):
    """Read the forms that proxies send, alone, behind a claim, in several lines, and before a trusted hop."""
    before = unread_fields()
    for lines in ([entry], [f"9.9.9.9, {entry}"], ["9.9.9.9", entry], [entry, f"{INNER}:80"], [f"{entry},, "]):
        headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]
        assert (await _forwarded_scope((PROXY, 5), headers))["client"] == (client, 5)
    assert unread_fields() == before


@pytest.mark.parametrize("entry", UNREADABLE)
async def test_an_unreadable_address_is_reported(entry, caplog, monkeypatch):
    monkeypatch.setattr(trusted_proxies.logger, "filters", [])  # one record a minute would pass
    before = unread_fields()
    for line, client in ((entry, PROXY), (f"{entry}, {INNER}", INNER), (f"192.0.2.1, {entry}", PROXY)):
        scope = await _forwarded_scope((PROXY, 5), [(b"x-forwarded-for", line.encode("latin-1"))])
        assert scope["client"] == (client, 5)
    assert unread_fields() - before == Counter({"x-forwarded-for": 3})
    record = caplog.records[0]
    assert (record.message, record.field, record.proxy) == ("forwarding_unread", "x-forwarded-for", PROXY)
    assert all(text.isprintable() for text in (record.value, record.hint))


@pytest.mark.parametrize(
    ("fields", "reported"),
    [
        ({"forwarded": 'for="[2001:db8::1]:443";proto=https'}, "forwarded"),
        ({"x-real-ip": "192.0.2.1"}, "x-real-ip"),
        ({"x-forwarded-proto": "ftp"}, "x-forwarded-proto"),
        ({"x-forwarded-for": "192.0.2.1", "forwarded": "for=9.9.9.9", "x-real-ip": "9.9.9.9"}, None),
        ({}, None),
    ],
)
async def test_other_fields(fields, reported):
    """Report fields that another proxy would need; never read the client from them, as clients can send them."""
    before = unread_fields()
    scope = await _forwarded_scope((PROXY, 5), [(name.encode(), value.encode()) for name, value in fields.items()])
    assert scope["client"] == (fields.get("x-forwarded-for", PROXY), 5)
    assert unread_fields() - before == Counter([reported] if reported else [])


async def test_an_untrusted_peer_reports_nothing():
    before = unread_fields()
    await _forwarded_scope((PEER, 5), [(b"x-forwarded-for", b"unknown"), (b"forwarded", b"for=_x")])
    assert unread_fields() == before


def unread_fields():
    samples = next(iter(UNREAD_FORWARDING.collect())).samples
    return Counter({each.labels["field"]: int(each.value) for each in samples if each.name.endswith("_total")})


async def test_fields_are_ignored_without_a_peer_and_in_the_lifespan():
    assert (await _forwarded_scope(None, [XFF, HTTPS]))["client"] is None
    seen = []

    async def application(scope, _receive, _send):
        seen.append(scope)

    await TrustedForwarding(application, TRUSTED)({"type": "lifespan"}, None, None)
    assert seen == [{"type": "lifespan"}]
