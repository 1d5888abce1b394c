"""Tokens bought in this session a short while ago, which can be shown without a password."""

import time

from django.http import HttpRequest

from access.models import AccessToken

# Long enough for a phone to switch to another app, come back and reload the page.
SECONDS = 600
_SESSION_KEY = "access_bought"


def remember(request: HttpRequest, token: AccessToken) -> None:
    """Add a token to the recent purchases; remove those that are no longer recent."""
    recent = {pk: at for pk, at in _known(request).items() if _is_recent(at)}
    request.session[_SESSION_KEY] = {**recent, str(token.pk): time.time()}


def includes(request: HttpRequest, token: AccessToken) -> bool:
    """Return whether the token was bought in this session within the last `SECONDS`."""
    return _is_recent(_known(request).get(str(token.pk), 0.0))


def _known(request: HttpRequest) -> dict[str, float]:
    known: dict[str, float] = request.session.get(_SESSION_KEY, {})
    return known


def _is_recent(at: float) -> bool:
    return time.time() - at < SECONDS
