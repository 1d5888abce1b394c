"""Consistent reads: several queries that see one state of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction


@contextmanager
def snapshot() -> Iterator[None]:
    """Let all reads in the block see the database at one moment, without blocking writers.

    The block must not write; PostgreSQL rejects writes. Inside a transaction of the caller, the isolation of that
    transaction applies instead.
    """
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        with _deferred_transactions(), transaction.atomic():
            yield
    else:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield


@contextmanager
def _deferred_transactions() -> Iterator[None]:
    """Begin SQLite transactions of this thread without taking the write lock, as the default mode does."""
    sqlite: Any = connection
    sqlite.ensure_connection()  # reads the settings, and so sets the mode
    default_mode = sqlite.transaction_mode
    sqlite.transaction_mode = "DEFERRED"
    try:
        yield
    finally:
        sqlite.transaction_mode = default_mode
