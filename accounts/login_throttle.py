"""The limit of failed logins: one count per address, shared by the API, the site and the second factor."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.conf import settings
from rest_framework.exceptions import Throttled

from accounts.errors import Unauthorized
from zenzefi.common.postgresql import release_connection
from zenzefi.common.rate_limits import RateLimit

# Attempts with the same key run one after another, so that a parallel burst cannot exceed the limit.
_MAX_PER_KEY = 8  # that run or wait at the same time
_MAX_ATTEMPTS = 16  # of all keys; other requests need threads, too
_RETRY_SECONDS = 2


class _Attempts:
    """The attempts with one key that run or wait."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()


_attempts: dict[str, _Attempts] = {}
_counting = threading.Lock()


@contextmanager
def _one_at_a_time(key: str) -> Iterator[None]:
    """Wait for earlier attempts with the key. Raise `Throttled` if too many wait."""
    with _counting:
        attempts = _attempts.setdefault(key, _Attempts())
        if attempts.count >= _MAX_PER_KEY or sum(one.count for one in _attempts.values()) >= _MAX_ATTEMPTS:
            if not attempts.count:
                del _attempts[key]
            raise Throttled(_RETRY_SECONDS)
        attempts.count += 1
    try:
        release_connection()
        with attempts.lock:
            yield
    finally:
        with _counting:
            attempts.count -= 1
            if not attempts.count:
                del _attempts[key]


@contextmanager
def limit_failures(*keys: str) -> Iterator[None]:
    """Count an `Unauthorized` error raised in the context as a failure of each key.

    Raise `Throttled` on entering the context if a key has too many failures or too many attempts at the same time.
    """
    failures = RateLimit("login", settings.RATE_LIMIT_AUTH)
    with ExitStack() as stack:
        for key in sorted(set(keys)):  # in a fixed order, to avoid deadlocks
            stack.enter_context(_one_at_a_time(key))
        for key in keys:
            if not failures.allows(key):
                raise Throttled(failures.retry_after(key))
        try:
            yield
        except Unauthorized:
            # Count the failure for all keys. A key may have reached the limit in another process meanwhile.
            full = [key for key in keys if not failures.hit(key)]
            if full:
                raise Throttled(failures.retry_after(full[0])) from None
            raise
