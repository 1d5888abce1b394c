"""Several reads that see one state of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction


@contextmanager
def snapshot() -> Iterator[None]:
    """What is read in this block is of one moment, whoever writes meanwhile, and keeps no writer waiting.

    Nothing is to be written in it: PostgreSQL refuses that. Within a transaction of the caller it is this
    transaction that decides what is seen.
    """
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        with _reading_only(), transaction.atomic():
            yield
    else:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield


@contextmanager
def _reading_only() -> Iterator[None]:
    """SQLite's transactions of this thread do not take the write lock at their start, as they do otherwise."""
    sqlite: Any = connection
    sqlite.ensure_connection()  # which reads the settings
    usual = sqlite.transaction_mode
    sqlite.transaction_mode = "DEFERRED"
    try:
        yield
    finally:
        sqlite.transaction_mode = usual
