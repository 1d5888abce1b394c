"""Database access from the event loop, through a small pool of threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections

from zenzefi.common.postgresql import database_time_limit

Result = TypeVar("Result")

_TIMEOUT_SECONDS = 2.0
# About as many calls as the threads can serve within the timeout.
_MAX_WAITING = 1024


class Database:
    """A pool of threads for functions that use the ORM; each call returns its connection when it ends."""

    def __init__(self, threads: int = 4) -> None:
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="dataplane-db")
        self._waiting = 0
        self._closed = False

    async def run(self, function: Callable[..., Result], *args: object) -> Result:
        """Return the result of the function, called in a thread.

        Raises what the function raises, `OperationalError` if it takes longer than two seconds or too many calls
        wait, and `InterfaceError` after `close`.
        """
        if self._closed:
            raise InterfaceError("the data plane has stopped")
        if self._waiting >= _MAX_WAITING:
            raise OperationalError("too many calls wait for the database")
        self._waiting += 1
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads, _with_connection, function, *args)
        except TimeoutError as error:
            raise OperationalError("the database does not respond in time") from error
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Reject new calls and wait for those that run; on PostgreSQL they are limited in time."""
        self._closed = True
        self._threads.shutdown(wait=True)


def _with_connection(function: Callable[..., Result], *args: object) -> Result:
    with database_time_limit(_TIMEOUT_SECONDS):
        close_old_connections()
        try:
            return function(*args)
        finally:
            close_old_connections()
