"""Fixtures of the whole suite: the named cast, and a fast way to empty the database."""

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tests.factories import UserFactory
from billing import ledger
from billing.models import SystemAccount, TransactionType
from zenzefi.runtime.static_files import collect_if_outdated
from zenzefi.tests.support import fast_flush


def pytest_sessionstart() -> None:
    collect_if_outdated()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("TEST_SERVICES"):
        for item in items:
            if item.get_closest_marker("services"):
                item.add_marker(pytest.mark.skip(reason="needs PostgreSQL and Redis: make test-services"))


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
