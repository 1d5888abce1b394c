"""The database from the event loop: in a small pool of threads, never on the loop itself."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections

from zenzefi.common.postgresql import answers_within

Result = TypeVar("Result")

_ANSWER_SECONDS = 2.0
# About what the threads can serve in that time.
_MOST_WAITING = 1024


class Database:
    """Runs functions that use the ORM; each gives its connection back at its end."""

    def __init__(self, threads: int = 4) -> None:
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="dataplane-db")
        self._waiting = 0
        self._closed = False

    async def run(self, function: Callable[..., Result], *args: object) -> Result:
        """What the function gives. Raises what it raises, `OperationalError` where it takes longer than two
        seconds, and `InterfaceError` after the close."""
        if self._closed:
            raise InterfaceError("the data plane has stopped")
        if self._waiting >= _MOST_WAITING:
            raise OperationalError("too many wait for the database")
        self._waiting += 1
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads, _with_connection, function, *args)
        except TimeoutError as error:
            raise OperationalError("the database does not answer in time") from error
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Waits for what runs, which PostgreSQL cannot hold up for long."""
        self._closed = True
        self._threads.shutdown(wait=True)


def _with_connection(function: Callable[..., Result], *args: object) -> Result:
    with answers_within(_ANSWER_SECONDS):
        close_old_connections()
        try:
            return function(*args)
        finally:
            close_old_connections()
