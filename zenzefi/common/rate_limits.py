"""Rate limits of the control plane, with a moving window per key in `RATE_LIMIT_STORAGE`."""

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
def _available_limiter() -> Iterator[MovingWindowRateLimiter]:
    try:
        yield _limiter(settings.RATE_LIMIT_STORAGE)
    except StorageError as error:
        raise StateUnavailable from error


class RateLimit:
    """A limit such as `5/hour`, counted per key; an empty rate allows everything.

    All methods raise `StateUnavailable` if the storage cannot be reached.
    """

    def __init__(self, name: str, rate: str) -> None:
        self._name = name
        self._item = limits.parse(rate) if rate else None

    def hit(self, key: str) -> bool:
        """Count one attempt; return False, without counting it, if the limit is reached."""
        if self._item is None:
            return True
        with _available_limiter() as limiter:
            return limiter.hit(self._item, self._name, key)

    def allows(self, key: str) -> bool:
        """Return whether one more attempt would be allowed, without counting it."""
        if self._item is None:
            return True
        with _available_limiter() as limiter:
            return limiter.test(self._item, self._name, key)

    def retry_after(self, key: str) -> int:
        """Return the number of whole seconds until one more attempt is allowed, at least 1."""
        if self._item is None:
            return 1
        with _available_limiter() as limiter:
            stats = limiter.get_window_stats(self._item, self._name, key)
        return max(1, math.ceil(stats.reset_time - time.time()))
