"""The order of checks: a request with several faults is denied for the first of them."""

from datetime import timedelta

from access import services
from accounts.services import set_active
from proxy.tests.support.assertions import assert_denied, assert_denied_and_unseen
from proxy.tests.support.raw_client import exchange, head
from proxy.tests.support.servers import eventually

UNKNOWN = "u" * 64
PAST = timedelta(hours=2)


def test_each_check_comes_before_the_next(gateway, recorded, alice, olga, sold_token):
    token = sold_token(alice, scope="certificates_only")
    gateway.restart(RATE_LIMIT_PROXY="1/minute")
    assert gateway.client(token).get("/certificates").status_code == 200
    recorded.requests.clear()
    other = token.on("another-device").headers

    def send(path="/x", more=(), **headers):
        given = {"Host": "h", **other, **headers}
        given = {name: value for name, value in given.items() if value is not None}
        return exchange(gateway.port, head("GET", f"/api/v1/proxy{path}", given, *more))

    services.freeze(token.token.pk, actor=olga, reason="test")
    set_active(alice, False, actor=olga)
    eventually(lambda: len(gateway.plane.grants) == 0)
    no_device = {"X-Device-ID": None}
    # The form of the request, then the token, then the user.
    assert_denied(send(more=[b"Host: h"], **no_device, **{"X-Access-Token": UNKNOWN}), "bad_request")
    assert_denied(send(**no_device, **{"X-Access-Token": UNKNOWN}), "invalid_token")
    assert_denied(send(**no_device), "user_inactive")
    set_active(alice, True, actor=olga)
    eventually(lambda: send(**no_device).json()["code"] == "token_frozen")
    services.unfreeze(token.token.pk, actor=olga, reason="test")
    # The form of the device ID, the scope, the rate, the device lease.
    eventually(lambda: send(**no_device).json()["code"] == "device_id_required")
    assert_denied(send(), "scope_denied")
    assert_denied(send(path="/certificates/%2e%2e"), "bad_request")
    assert_denied(send(path="/certificates"), "rate_limited")
    assert recorded.requests == []


def test_the_lease_comes_last(gateway, recorded, alice_token):
    assert gateway.client(alice_token).get("/x").status_code == 200
    gateway.restart(RATE_LIMIT_PROXY="1/minute")
    assert gateway.client(alice_token).get("/x").status_code == 200
    assert_denied(gateway.client(alice_token.on("another-device")).get("/x"), "rate_limited")


def test_an_expired_token_of_a_blocked_user(gateway, recorded, alice, olga, alice_token):
    set_active(alice, False, actor=olga)
    alice_token.shift(PAST)
    assert_denied_and_unseen(gateway.client(alice_token).get("/x"), "token_expired", recorded, alice_token)
