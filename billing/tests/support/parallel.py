"""Threads that start together, each with its own database connection."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

Result = TypeVar("Result")


def in_parallel(calls: int, call: Callable[[int], Result], threads: int = 0) -> list[Result]:
    """Return the results of `call(0)`, `call(1)`, … from that many threads (by default one per call)."""
    threads = threads or calls
    start = threading.Barrier(threads)

    def run(number: int) -> Result:
        if number < threads:
            start.wait(timeout=30)
        try:
            return call(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(calls)))
