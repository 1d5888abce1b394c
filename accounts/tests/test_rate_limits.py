"""RATE_LIMIT_AUTH: the limits of failed logins and of sign-ups per address."""

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings as project
from django.contrib.auth import hashers
from django.db import connections
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tests.factories import PASSWORD
from zenzefi.common import rate_limits

LOGIN = "/api/v1/auth/login"
REGISTER = "/api/v1/auth/register"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _five_an_hour(settings: Any) -> Any:
    settings.RATE_LIMIT_AUTH = "5/hour"
    settings.RATE_LIMIT_STORAGE = "memory://"
    rate_limits._limiter.cache_clear()
    yield
    rate_limits._limiter.cache_clear()


def fail(api: APIClient, **request: Any) -> Any:
    return api.post(LOGIN, {"email": "alice@example.com", "password": "wrong-horse-7"}, **request)


def succeed(api: APIClient, **request: Any) -> Any:
    return api.post(LOGIN, {"email": "alice@example.com", "password": PASSWORD}, **request)


def sign_up(api: APIClient, name: str, **request: Any) -> Any:
    return api.post(
        REGISTER, {"email": f"{name}@example.com", "username": name, "password": "tr0ub4dor-and-3"}, **request
    )


def assert_limited(response: Any) -> None:
    assert response.status_code == 429
    assert response.json()["code"] == "rate_limited"
    assert response.json()["detail"].startswith("Request was throttled.")
    assert 3500 < int(response["Retry-After"]) <= 3600


# case E61
def test_the_sixth_failed_login_is_limited(api: APIClient, alice: User) -> None:
    assert [fail(api).status_code for _attempt in range(5)] == [401] * 5

    assert_limited(fail(api))
    assert_limited(succeed(api))


# case E61
def test_a_limited_login_computes_no_hash(api: APIClient, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for _attempt in range(5):
        fail(api)
    monkeypatch.setattr(hashers.MD5PasswordHasher, "encode", lambda *_args: pytest.fail("hashed"))

    assert_limited(fail(api))


# case E61
def test_unknown_emails_count_like_known_ones(api: APIClient, alice: User) -> None:
    for number in range(5):
        api.post(LOGIN, {"email": f"nobody{number}@example.com", "password": "x"})

    assert_limited(succeed(api))


# case E61
def test_forwarding_headers_gain_nothing(api: APIClient, alice: User) -> None:
    def disguised(number: int) -> dict[str, str]:
        return {
            "X-Forwarded-For": f"10.0.0.{number}",
            "X-Real-IP": f"10.0.0.{number}",
            "Forwarded": f"for=10.0.0.{number}",
            "Client-IP": f"10.0.0.{number}",
        }

    assert [fail(api, headers=disguised(number)).status_code for number in range(5)] == [401] * 5
    assert_limited(fail(api, headers=disguised(5)))


# case E61
def test_other_addresses_are_not_affected(api: APIClient, alice: User) -> None:
    for _attempt in range(6):
        fail(api, REMOTE_ADDR="192.0.2.1")

    assert_limited(succeed(api, REMOTE_ADDR="192.0.2.1"))
    assert succeed(api, REMOTE_ADDR="192.0.2.2").status_code == 200
    assert succeed(api, REMOTE_ADDR="2001:db8::1").status_code == 200


# case E61
def test_a_success_does_not_reset_the_count(api: APIClient, alice: User) -> None:
    for _attempt in range(4):
        fail(api)
    assert succeed(api).status_code == 200

    assert fail(api).status_code == 401
    assert_limited(fail(api))


def test_successes_are_not_counted(api: APIClient, alice: User) -> None:
    assert [succeed(api).status_code for _attempt in range(7)] == [200] * 7


def test_malformed_logins_are_not_counted(api: APIClient, alice: User) -> None:
    for _attempt in range(7):
        assert api.post(LOGIN, {"email": "alice"}).status_code == 400
    assert fail(api).status_code == 401


# case E61
def test_the_window_moves_on(api: APIClient, alice: User) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=False):
        for _attempt in range(6):
            fail(api)
    with time_machine.travel(start + timedelta(minutes=59), tick=False):
        assert succeed(api).status_code == 429
    with time_machine.travel(start + timedelta(minutes=60, seconds=1), tick=False):
        assert succeed(api).status_code == 200


# case E61
@pytest.mark.django_db(transaction=True)
def test_a_parallel_burst_tries_five_passwords(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    encode = hashers.MD5PasswordHasher.encode

    def counted(hasher: Any, password: str, salt: str) -> str:
        tried.append(password)
        return encode(hasher, password, salt)

    monkeypatch.setattr(hashers.MD5PasswordHasher, "encode", counted)
    statuses: list[int] = []

    def one() -> None:
        statuses.append(fail(APIClient()).status_code)
        connections.close_all()

    threads = [threading.Thread(target=one) for _number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [401] * 5 + [429] * 7
    assert len(tried) == 5


def test_the_sixth_sign_up_is_limited(api: APIClient, alice: User) -> None:
    assert [sign_up(api, f"carol{number}").status_code for number in range(5)] == [201] * 5

    assert_limited(sign_up(api, "carol5"))
    assert not User.objects.filter(username="carol5").exists()
    assert sign_up(api, "carol5", REMOTE_ADDR="192.0.2.2").status_code == 201


def test_rejected_sign_ups_are_not_counted(api: APIClient) -> None:
    for _attempt in range(6):
        assert sign_up(api, "x").status_code == 400
    assert sign_up(api, "carol").status_code == 201


def test_logins_and_sign_ups_are_counted_apart(api: APIClient, alice: User) -> None:
    for _attempt in range(6):
        fail(api)
    assert sign_up(api, "carol").status_code == 201


# case F67
def test_a_dead_storage_is_503(api: APIClient, alice: User, settings: Any) -> None:
    settings.RATE_LIMIT_STORAGE = "redis://127.0.0.1:1"

    for response in (succeed(api), sign_up(api, "carol")):
        assert response.status_code == 503
        assert response.json() == {
            "detail": "The service is unavailable right now. Try again in a moment.",
            "code": "state_unavailable",
        }
    assert not User.objects.filter(username="carol").exists()


# case E61
@pytest.mark.services
@pytest.mark.skipif(not project.REDIS_URL, reason="needs REDIS_URL, and TEST_SERVICES=1 to keep it")
def test_workers_count_together(api: APIClient, alice: User, settings: Any) -> None:
    settings.RATE_LIMIT_STORAGE = project.REDIS_URL
    address = f"192.0.2.1-{uuid.uuid4()}"
    for _attempt in range(5):
        assert fail(api, REMOTE_ADDR=address).status_code == 401
        rate_limits._limiter.cache_clear()  # as in another process

    assert_limited(fail(api, REMOTE_ADDR=address))
    assert succeed(api, REMOTE_ADDR=f"192.0.2.2-{uuid.uuid4()}").status_code == 200
