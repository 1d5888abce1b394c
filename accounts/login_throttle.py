"""Failed logins: one count per address for every door, the API, the site and the second factor."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.conf import settings
from rest_framework.exceptions import Throttled

from accounts.errors import Unauthorized
from zenzefi.common.rate_limits import RateLimit

# Attempts under one key take turns: a parallel burst tries no more than the limit allows.
_locks = tuple(threading.Lock() for _number in range(64))


@contextmanager
def limit_failures(*keys: str) -> Iterator[None]:
    """Try credentials within: an `Unauthorized` that is raised counts as a failure of each key.

    Raises `Throttled` before the attempt, where a key had too many failures.
    """
    failures = RateLimit("login", settings.RATE_LIMIT_AUTH)
    with ExitStack() as stack:
        for lock in sorted({hash(key) % len(_locks) for key in keys}):  # always in this order: no deadlock
            stack.enter_context(_locks[lock])
        for key in keys:
            if not failures.allows(key):
                raise Throttled(failures.retry_after(key))
        try:
            yield
        except Unauthorized:
            # All are counted; one that is full was filled by another process in the meantime.
            full = [key for key in keys if not failures.hit(key)]
            if full:
                raise Throttled(failures.retry_after(full[0])) from None
            raise
