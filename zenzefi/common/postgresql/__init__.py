"""PostgreSQL connections: a time limit for the work of a request, pools of their own, none held while a thread waits.

The package is also the database engine of PostgreSQL: `base` is Django's, with the pool that the thread uses.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
from django.db import connection
from psycopg.abc import RV, PQGen
from psycopg_pool import ConnectionPool


class _TimeLimit:
    """The time that is left for statements; slow uploads, locks and hashes between them do not count."""

    def __init__(self, seconds: float) -> None:
        self.seconds_left = seconds

    def spend(self, seconds: float) -> None:
        self.seconds_left = max(0.0, self.seconds_left - seconds)


_time_limit: ContextVar[_TimeLimit | None] = ContextVar("database_time_limit", default=None)


@contextmanager
def database_time_limit(seconds: float) -> Iterator[None]:
    """Limit the time that PostgreSQL may take for all statements in this block together.

    After that, statements raise `OperationalError`.
    """
    outer = _time_limit.set(_TimeLimit(seconds))
    try:
        yield
    finally:
        _time_limit.reset(outer)


class Connection(psycopg.Connection[Any]):
    """A connection that observes `database_time_limit`.

    TCP keepalives do not detect a frozen server, as its kernel still acknowledges them.
    """

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        limit = _time_limit.get()
        if limit is not None and timeout is None:
            timeout = limit.seconds_left
        began = time.monotonic()
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError:
            if limit is not None and limit.seconds_left <= time.monotonic() - began:
                # A late response would be read as that of the next statement. Closing rolls back an open transaction.
                self.close()
            if self.closed and isinstance(self._pool, ConnectionPool):
                # Its idle connections are probably lost, too. The pool would detect that one by one, with pauses.
                self._pool.drain()
            raise
        finally:
            if limit is not None:
                limit.spend(time.monotonic() - began)


class OwnPool:
    """Connections to PostgreSQL for the threads that call `use`, apart from those of all other threads.

    With SQLite it does nothing.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.pools: dict[str, ConnectionPool] = {}  # by the alias of the database

    def use(self) -> None:
        """Take the connections of this thread from this pool; call it before the thread's first query."""
        own_pool.set(self)

    def close(self) -> None:
        """Close the connections, after the threads have ended."""
        for pool in self.pools.values():
            pool.close()


own_pool: ContextVar[OwnPool | None] = ContextVar("own_pool", default=None)


def release_connection() -> None:
    """Return this thread's connection to the pool. The next query takes one again.

    Call it before the thread waits for anything but the database: for a lock, a hash, or another server. Within a
    transaction it does nothing, so such waits do not belong there.
    """
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        connection.close()
