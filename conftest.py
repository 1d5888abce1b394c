"""Fixtures of the whole suite: the named cast, and a fast way to empty the database."""

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from rest_framework.test import APIClient
from whitenoise.middleware import WhiteNoiseMiddleware

from accounts.models import User
from accounts.tests.factories import UserFactory
from billing import ledger
from billing.models import SystemAccount, TransactionType
from zenzefi.runtime.static_files import collect_if_outdated
from zenzefi.tests.support import fast_flush

# A property does not depend on the speed of the machine.
hypothesis_settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any machine")


def pytest_sessionstart() -> None:
    collect_if_outdated()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("TEST_SERVICES"):
        for item in items:
            if item.get_closest_marker("services"):
                item.add_marker(pytest.mark.skip(reason="needs PostgreSQL and Redis: make test-services"))


@pytest.fixture(scope="session", autouse=True)
def _static_files_are_read_once() -> Iterator[None]:
    """Let the handlers of all test clients share the list of static files, which takes 0.1 s to read."""
    read = WhiteNoiseMiddleware.update_files_dictionary
    known: dict[str, Any] = {}

    def read_once(self: WhiteNoiseMiddleware, root: str, prefix: str) -> None:
        if root != f"{os.environ['STATIC_ROOT']}/":
            read(self, root, prefix)
            return
        if not known:
            read(self, root, prefix)
            known.update(self.files)
        self.files.update(known)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "update_files_dictionary", read_once)
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    with fast_flush.rows_only():
        yield


@pytest.fixture(autouse=True)
def _fast_and_quiet(settings: Any) -> Iterator[None]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.CELERY_TASK_ALWAYS_EAGER = True
    yield
    cache.clear()


@pytest.fixture
def api() -> APIClient:
    """Return an anonymous client of the API."""
    return APIClient()


@pytest.fixture
def alice(db: None) -> User:
    """Return a customer, the owner in most tests."""
    return UserFactory(username="alice")


@pytest.fixture
def bob(db: None) -> User:
    """Return another customer, who has no access to what Alice owns."""
    return UserFactory(username="bob")


@pytest.fixture
def olga(db: None) -> User:
    """Return an operator."""
    return UserFactory(username="olga", is_staff=True, is_superuser=True)


def client_of(user: User) -> APIClient:
    """Return a client of the API with a JWT of the user."""
    from accounts.jwt import issue_access

    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_access(user)}")
    return client


@pytest.fixture
def alice_api(alice: User) -> APIClient:
    return client_of(alice)


@pytest.fixture
def bob_api(bob: User) -> APIClient:
    return client_of(bob)


@pytest.fixture
def olga_api(olga: User) -> APIClient:
    return client_of(olga)


def fund(user: User, amount: str | Decimal) -> None:
    """Add credits to the user's balance, through the ledger."""
    ledger.move(user, Decimal(amount), SystemAccount.DEPOSITS, TransactionType.DEPOSIT, "test money")
