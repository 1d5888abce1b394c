"""The limit of wrong API tokens per address (`RATE_LIMIT_API`).

A token is checked before the limit of calls, which needs the user, so wrong ones need a limit of their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from rest_framework.exceptions import Throttled

from accounts.errors import Unauthorized
from zenzefi.common.rate_limits import RateLimit, address_key


@contextmanager
def limit_guesses(address: str) -> Iterator[None]:
    """Count an `Unauthorized` error in the context as a guess from `address`. Raise `Throttled` after too many."""
    guesses, client = RateLimit("api-token", settings.RATE_LIMIT_API), address_key(address)
    if not guesses.allows(client):
        raise Throttled(guesses.retry_after(client))
    try:
        yield
    except Unauthorized:
        if not guesses.hit(client):
            raise Throttled(guesses.retry_after(client)) from None
        raise
