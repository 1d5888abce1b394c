"""Fixtures of the whole suite: the named cast, and the database's guards around a flush."""

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db.backends.sqlite3.base import DatabaseOperations
from rest_framework.test import APIClient

from accounts.guards import append_only_sql, drop_append_only_sql, guarded_tables
from accounts.models import User
from accounts.tests.factories import UserFactory
from billing import ledger
from billing.models import SystemAccount, TransactionType


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("TEST_SERVICES"):
        for item in items:
            if item.get_closest_marker("services"):
                item.add_marker(pytest.mark.skip(reason="needs PostgreSQL and Redis: make test-services"))


@pytest.fixture(autouse=True, scope="session")
def _flush_lifts_the_guards() -> Iterator[None]:
    """SQLite's flush deletes row by row, which append-only tables refuse: drop their guards and make them again."""
    flush = DatabaseOperations.sql_flush

    def sql_flush(self: DatabaseOperations, *args: Any, **kwargs: Any) -> list[str]:
        tables = guarded_tables(self.connection)
        lift = [sql for table in tables for sql in drop_append_only_sql("sqlite", table)]
        restore = [sql for table in tables for sql in append_only_sql("sqlite", table)]
        return [*lift, *flush(self, *args, **kwargs), *restore]

    patch = pytest.MonkeyPatch()
    patch.setattr(DatabaseOperations, "sql_flush", sql_flush)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _fast_and_quiet(settings: Any) -> Iterator[None]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.CELERY_TASK_ALWAYS_EAGER = True
    yield
    cache.clear()


@pytest.fixture
def api() -> APIClient:
    """An anonymous client of the API."""
    return APIClient()


@pytest.fixture
def alice(db: None) -> User:
    """A customer who owns things."""
    return UserFactory(username="alice")


@pytest.fixture
def bob(db: None) -> User:
    """Another customer, who must not get at them."""
    return UserFactory(username="bob")


@pytest.fixture
def olga(db: None) -> User:
    """The operator."""
    return UserFactory(username="olga", is_staff=True, is_superuser=True)


def client_of(user: User) -> APIClient:
    """A client of the API with a JWT of `user`."""
    from accounts.tokens import issue_access

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
    """Give a user credits, through the ledger."""
    ledger.move(user, Decimal(amount), SystemAccount.DEPOSITS, TransactionType.DEPOSIT, "test money")
