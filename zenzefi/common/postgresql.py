"""PostgreSQL connections that wait no longer than those who use them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg_pool import ConnectionPool


class _Patience:
    """Begins with the first question: what comes before, such as a slow upload, is not the database's fault."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: float | None = None

    def left(self) -> float:
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._seconds
        return max(0.0, self._until - now)


_patience: ContextVar[_Patience | None] = ContextVar("patience with the database", default=None)


@contextmanager
def database_time_limit(seconds: float) -> Iterator[None]:
    """In this block, PostgreSQL has this long for all that it is asked together; then `OperationalError`."""
    outer = _patience.set(_Patience(seconds))
    try:
        yield
    finally:
        _patience.reset(outer)


class Connection(psycopg.Connection[Any]):
    """Keeps the time limit. Nothing else notices a server that is frozen: its kernel goes on to acknowledge."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        patience = _patience.get()
        if patience is not None and timeout is None:
            timeout = patience.left()
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError:
            if patience is not None and patience.left() == 0:
                # The answer may still come, and would be taken for the next one. An open transaction is rolled back.
                self.close()
            if self.closed and isinstance(self._pool, ConnectionPool):
                # Those in store are most likely lost as well, and the pool would find out one by one, with pauses.
                self._pool.drain()
            raise
