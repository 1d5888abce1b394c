"""Rate limits of the control plane: a moving window per key, shared through `RATE_LIMIT_STORAGE`."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import limits
from django.conf import settings
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from zenzefi.common.errors import StateUnavailable

_TIMEOUT = 2  # seconds


@lru_cache
def _limiter(storage: str) -> MovingWindowRateLimiter:
    if storage == "memory://":
        return MovingWindowRateLimiter(storage_from_string(storage))
    return MovingWindowRateLimiter(
        storage_from_string(
            storage,
            wrap_exceptions=True,
            key_prefix="zenzefi:limits",
            socket_connect_timeout=_TIMEOUT,
            socket_timeout=_TIMEOUT,
        )
    )


@contextmanager
def _counting() -> Iterator[MovingWindowRateLimiter]:
    try:
        yield _limiter(settings.RATE_LIMIT_STORAGE)
    except StorageError as error:
        raise StateUnavailable from error


class RateLimit:
    """One limit such as `5/hour`, counted per key; an empty rate allows everything.

    Raises `StateUnavailable` where the storage does not answer.
    """

    def __init__(self, name: str, rate: str) -> None:
        self._name = name
        self._item = limits.parse(rate) if rate else None

    def hit(self, key: str) -> bool:
        """Count one; False where the limit was reached before."""
        if self._item is None:
            return True
        with _counting() as limiter:
            return limiter.hit(self._item, self._name, key)

    def allows(self, key: str) -> bool:
        """Whether one more would be allowed, without counting."""
        if self._item is None:
            return True
        with _counting() as limiter:
            return limiter.test(self._item, self._name, key)

    def retry_after(self, key: str) -> int:
        """Whole seconds until one more is allowed, at least 1."""
        if self._item is None:
            return 1
        with _counting() as limiter:
            stats = limiter.get_window_stats(self._item, self._name, key)
        return max(1, math.ceil(stats.reset_time - time.time()))
