"""The limit of failed logins: one count per address, shared by the API, the site and the second factor."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.conf import settings
from rest_framework.exceptions import Throttled

from accounts.errors import Unauthorized
from zenzefi.common.rate_limits import RateLimit

# Attempts with the same key run one after another, so that a parallel burst cannot exceed the limit.
_locks = tuple(threading.Lock() for _number in range(64))


@contextmanager
def limit_failures(*keys: str) -> Iterator[None]:
    """Count an `Unauthorized` error raised in the context as a failure of each key.

    Raise `Throttled` on entering the context if a key has too many failures.
    """
    failures = RateLimit("login", settings.RATE_LIMIT_AUTH)
    with ExitStack() as stack:
        for lock in sorted({hash(key) % len(_locks) for key in keys}):  # in a fixed order, to avoid deadlocks
            stack.enter_context(_locks[lock])
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
