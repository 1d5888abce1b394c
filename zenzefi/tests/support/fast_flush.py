"""A fast flush of the database after tests that commit.

Django's flush truncates every table of PostgreSQL, which creates new files and takes up to a second in a long run,
for a handful of rows. It also creates all content types and permissions again. No test changes those, so they are
kept.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.management import create_contenttypes
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models.signals import post_migrate

from zenzefi.common.append_only import append_only_sql, append_only_tables, drop_append_only_sql

KEPT = {ContentType._meta.db_table, Permission._meta.db_table}


@contextmanager
def rows_only() -> Iterator[None]:
    """Make flushes delete rows only, and let only the receivers of this project create rows again."""
    patch = pytest.MonkeyPatch()
    patch.setattr(type(connection.ops), "sql_flush", _sql_flush)
    post_migrate.disconnect(create_contenttypes)
    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    yield
    patch.undo()


def _sql_flush(_operations: Any, _style: Any, tables: Sequence[str], **_options: Any) -> list[str]:
    names = [connection.ops.quote_name(table) for table in sorted(set(tables) - KEPT)]
    rows = [f"DELETE FROM {name}" for name in names]
    return _on_sqlite(rows) if connection.vendor == "sqlite" else _on_postgresql(names, rows)


def _on_sqlite(rows: list[str]) -> list[str]:
    tables = append_only_tables(connection)
    lift = [sql for table in tables for sql in drop_append_only_sql("sqlite", table)]
    restore = [sql for table in tables for sql in append_only_sql("sqlite", table)]
    return [*lift, *rows, *restore]


def _on_postgresql(names: list[str], rows: list[str]) -> list[str]:
    """Return one statement that, like TRUNCATE, waits for other writers, so that no row is written afterwards."""
    steps = [
        _lock(names),
        *(f"ALTER TABLE {name} DISABLE TRIGGER USER" for name in names),
        *rows,
        "SET CONSTRAINTS ALL IMMEDIATE",
        *(f"ALTER TABLE {name} ENABLE TRIGGER USER" for name in names),
    ]
    return ["; ".join(steps)]


def _lock(names: list[str]) -> str:
    """Return a statement that locks all tables or none.

    With the lock of one table while it waits for the next, it could deadlock with a gateway that writes a session and
    then checks its token.
    """
    return f"""DO $$BEGIN
        LOOP
            BEGIN
                LOCK TABLE {", ".join(names)} IN ACCESS EXCLUSIVE MODE NOWAIT;
                EXIT;
            EXCEPTION WHEN lock_not_available THEN PERFORM pg_sleep(0.01);
            END;
        END LOOP;
    END$$"""
