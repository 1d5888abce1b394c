"""The database from the event loop: in a small pool of threads, never on the loop itself."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import InterfaceError, close_old_connections

Result = TypeVar("Result")


class Database:
    """Runs functions that use the ORM; each gives its connection back at its end."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="dataplane-db")
        self._closed = False

    async def run(self, function: Callable[..., Result], *args: object) -> Result:
        """What the function gives. Raises what it raises, and `InterfaceError` after the close."""
        if self._closed:
            raise InterfaceError("the data plane has stopped")
        return await asyncio.get_running_loop().run_in_executor(self._threads, _with_connection, function, *args)

    def close(self) -> None:
        self._closed = True
        self._threads.shutdown(wait=True)


def _with_connection(function: Callable[..., Result], *args: object) -> Result:
    close_old_connections()
    try:
        return function(*args)
    finally:
        close_old_connections()
