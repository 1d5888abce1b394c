"""Request targets that are not ASCII, such as raw UTF-8, which reach the upstream byte for byte."""

import pytest

from access.models import Scope
from proxy.models import DenialRecord
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.raw_client import connected, exchange, head
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import handshake

PREFIX = b"/api/v1/proxy"
TARGETS = [
    "/каталог?поиск=я".encode(), "/caf\u00e9".encode(), b"/x?q=\xff\xfe", b"/\xff", b"/\xc3",
    b"/%C3%A9\xc3\xa9?%d1\x8f",
    "/日本//;a/./b\\?".encode(), "/\U0001f600".encode(), "/a?b?\u00a0\u2028".encode(), b"/\x80?",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_the_upstream_gets_the_bytes(gateway, recorded, alice_token, target):
    request = (
        head("POST", PREFIX + target, {"Host": "h", "Content-Length": 4, **alice_token.headers}) + b"\xff\n\xc3z"
    )
    follower = head("GET", PREFIX + b"/%C3%A9", {"Host": "h", **alice_token.headers})
    for pieces in ([request + follower], [request, follower], [bytes([byte]) for byte in request + follower]):
        recorded.requests.clear()
        with connected(gateway.port) as client:
            for piece in pieces:
                client.send(piece)
            assert [client.read_response("POST").status, client.read_response().status] == [200, 200]
        assert [each.target for each in recorded.requests] == [target, b"/%C3%A9"]
        assert recorded.requests[0].body == b"\xff\n\xc3z"


def test_pipelined_targets(gateway, recorded, alice_token):
    with connected(gateway.port) as client:
        client.send(b"".join(head("GET", PREFIX + each, {"Host": "h", **alice_token.headers}) for each in TARGETS))
        assert [client.read_response().status for _ in TARGETS] == [200] * len(TARGETS)
    assert [each.target for each in recorded.requests] == TARGETS


def test_an_upgrade_that_is_ignored(gateway, recorded, alice_token):
    fields = {"Host": "h", "Connection": "Upgrade", "Upgrade": "h2c", **alice_token.headers}
    for target in TARGETS:
        assert exchange(gateway.port, head("GET", PREFIX + target, fields)).status == 200
        assert recorded.last.target == target


def test_on_the_upstreams_own_host(gateway, recorded, alice_token):
    gateway.restart(PROXY_HOST="proxy.example", BACKEND_URL="https://zenzefi.example")
    for target in TARGETS:
        request = head("GET", target, {"Host": "proxy.example", **alice_token.headers})
        assert exchange(gateway.port, request).status == 200
        assert recorded.last.target == target


@pytest.mark.parametrize("target", TARGETS)
def test_a_websocket(gateway, recorded, alice_token, target):
    """Send the handshake on with the same bytes; this upstream refuses it."""
    with connected(gateway.port) as client:
        client.send(handshake(alice_token, "/TARGET").replace(b"/TARGET", target))
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
    assert recorded.last.target == target


@pytest.mark.parametrize("target", [each for each in TARGETS if not each.split(b"?")[0].isascii()])
def test_the_scope_of_certificates_stays_strict(gateway, recorded, sold_token, alice, target):
    token = sold_token(alice, scope=Scope.CERTIFICATES_ONLY)
    request = head("GET", PREFIX + b"/certificates" + target, {"Host": "h", **token.headers})
    assert_denied(exchange(gateway.port, request), "bad_request")
    assert recorded.requests == []
    record = eventually(DenialRecord.objects.first)
    assert record.path.isprintable()
    assert "\N{REPLACEMENT CHARACTER}" in record.path


@pytest.mark.parametrize("target", TARGETS)
def test_the_site_and_the_api(gateway, target, caplog):
    """Respond as to the same target with percent escapes."""
    escaped = b"".join(b"%%%02X" % byte if byte > 127 else bytes([byte]) for byte in target)
    for before in (b"/api/v1/tariffs?x=", b"/api/v1", b"/denied"):
        responses = [
            exchange(gateway.port, head("GET", before + each, {"Host": "127.0.0.1"})) for each in (target, escaped)
        ]
        assert responses[0].status == responses[1].status < 500
    assert all(record.getMessage().isprintable() for record in caplog.records)


@pytest.mark.parametrize(
    "target", [b"\xc3/x", "http://h/я".encode(), "/я#x".encode(), "*я".encode(), b"/\xc3 \xc3", b"/\xc3\x01"]
)
def test_other_forms_are_denied(gateway, recorded, alice_token, target):
    response = exchange(gateway.port, head("GET", target, {"Host": "h", **alice_token.headers}))
    assert response.status == 400
    assert recorded.requests == []
