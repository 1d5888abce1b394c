"""Different calls made at the same time."""

from collections.abc import Callable
from typing import Any

from billing.tests.support.parallel import in_parallel


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Return the results of the calls, each made in its own thread; all threads start together."""
    return in_parallel(len(calls), lambda number: calls[number]())
