"""Limits per address: each of them counts the same client under each form of its address."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.tests.factories import PASSWORD, turn_on_totp
from proxy.dataplane.denials import log
from proxy.dataplane.denials.log import DenialLog, RequestInfo
from proxy.dataplane.errors import INVALID_TOKEN
from zenzefi.common import rate_limits
from zenzefi.common.rate_limits import address_key

pytestmark = pytest.mark.django_db

Attempt = Callable[[str], bool]

SAME = [
    ("192.0.2.1", "192.0.2.1"),
    ("192.0.2.1", "::ffff:192.0.2.1"),
    ("::FFFF:C000:201", "192.0.2.1"),
    ("192.0.2.1", "64:ff9b::192.0.2.1"),
    ("192.0.2.1", "2002:c000:201:5::7"),
    ("2001:db8::1", "2001:db8::1"),
    ("2001:db8::1", "2001:DB8:0:0:ffff::2"),
    ("fe80::1%eth0", "fe80::2%eth1"),
    ("", "None"),
]
DIFFERENT = [
    ("192.0.2.1", "192.0.2.2"),
    ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
    ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"),
    ("2001:db8::1", "2001:db8:0:1::1"),
    ("2001:db8::1", "192.0.2.1"),
    ("", "192.0.2.1"),
]
FORMS = [(*pair, True) for pair in SAME] + [(*pair, False) for pair in DIFFERENT]


@pytest.fixture(autouse=True)
def _one_attempt(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    settings.RATE_LIMIT_AUTH = settings.RATE_LIMIT_API = "1/hour"
    settings.RATE_LIMIT_STORAGE = "memory://"
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "reset_password_from_key": "1/m/ip"}
    monkeypatch.setattr(log, "UNKNOWN_PER_ADDRESS", 1)
    rate_limits._limiter.cache_clear()
    yield
    rate_limits._limiter.cache_clear()


def poster(path: str, **body: str) -> Callable[[User], Attempt]:
    """Return a limit whose attempt is a POST by an anonymous client; a path of the API gets JSON."""

    def limit(alice: User) -> Attempt:
        def attempt(address: str) -> bool:
            kind = {"content_type": "application/json"} if path.startswith("/api/") else {}
            data = {name: value.format(email=alice.email) for name, value in body.items()}
            return Client().post(path, data, REMOTE_ADDR=address, **kind).status_code == 429  # type: ignore[arg-type]

        return attempt

    return limit


def reauthentication(alice: User) -> Attempt:
    client = Client()
    client.force_login(alice)
    url, form = "/accounts/reauthenticate/", {"password": "wrong-horse-7"}
    return lambda address: client.post(url, form, REMOTE_ADDR=address).status_code == 429


def second_factor(_alice: User) -> Attempt:
    """Return the limit of wrong codes; each attempt is by another user, so that only the address is counted."""
    from accounts.tests.factories import UserFactory

    def attempt(address: str) -> bool:
        user = UserFactory()
        turn_on_totp(user)
        body = {"email": user.email, "password": PASSWORD, "otp": "000000"}
        return Client().post("/api/v1/auth/login", body, "application/json", REMOTE_ADDR=address).status_code == 429

    return attempt


def reset_key(_alice: User) -> Attempt:
    return lambda address: (
        Client().post("/accounts/password/reset/key/1-wrong/", REMOTE_ADDR=address).status_code == 429
    )


def anonymous_calls(_alice: User) -> Attempt:
    return lambda address: Client().get("/api/v1/tariffs", REMOTE_ADDR=address).status_code == 429


def kept_denials(_alice: User) -> Attempt:
    denials = DenialLog(64)

    def attempt(address: str) -> bool:
        denials.add(INVALID_TOKEN, 401, RequestInfo(b"number-0001", ip=address), {})
        return bool(denials.dropped)

    return attempt


LIMITS = {
    "API login": poster("/api/v1/auth/login", email="{email}", password="wrong-horse-7"),
    "login page": poster("/accounts/login/", login="{email}", password="wrong-horse-7"),
    "reauthentication": reauthentication,
    "second factor": second_factor,
    "password reset": poster("/accounts/password/reset/", email="{email}"),
    "reset key": reset_key,
    "anonymous calls": anonymous_calls,
    "kept denials": kept_denials,
}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(("first", "second", "is_same"), FORMS)
def test_every_limit_counts_a_client_in_each_form_of_its_address(
    limit: str, first: str, second: str, is_same: bool, alice: User, settings: Any
) -> None:
    if limit in ("API login", "second factor"):
        settings.RATE_LIMIT_API = ""  # it would count the same call
    attempt = LIMITS[limit](alice)

    assert not attempt(first)
    assert attempt(second) is is_same


@pytest.mark.parametrize(
    ("prefix", "address", "key"),
    [
        (64, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (56, "2001:db8:1:2ff:3::4", "2001:db8:1:200::/56"),
        (128, "2001:db8::1", "2001:db8::1/128"),
        (32, "192.0.2.1", "192.0.2.1"),
        (64, None, "unknown"),
    ],
)
def test_the_size_of_a_network_is_a_setting(prefix: int, address: str | None, key: str, settings: Any) -> None:
    settings.RATE_LIMIT_IPV6_PREFIX = prefix

    assert address_key(address) == key
