"""PostgreSQL connections with a time limit for the work of a request."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg_pool import ConnectionPool


class _TimeLimit:
    """A time limit that starts with the first statement, so that a slow upload before it does not count."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: float | None = None

    def seconds_left(self) -> float:
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._seconds
        return max(0.0, self._until - now)


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
            timeout = limit.seconds_left()
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError:
            if limit is not None and limit.seconds_left() == 0:
                # A late response would be read as that of the next statement. Closing rolls back an open transaction.
                self.close()
            if self.closed and isinstance(self._pool, ConnectionPool):
                # Its idle connections are probably lost, too. The pool would detect that one by one, with pauses.
                self._pool.drain()
            raise
