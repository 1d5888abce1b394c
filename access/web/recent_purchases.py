"""Which tokens this browser has just bought: their text may be shown once more without a password."""

import time

from django.http import HttpRequest

from access.models import AccessToken

# Long enough for a phone that goes to another program and loads the page again.
SECONDS = 600
_BOUGHT = "access_bought"


def remember(request: HttpRequest, token: AccessToken) -> None:
    """Forgets those of longer ago."""
    recent = {pk: at for pk, at in _known(request).items() if _is_recent(at)}
    request.session[_BOUGHT] = {**recent, str(token.pk): time.time()}


def includes(request: HttpRequest, token: AccessToken) -> bool:
    """Whether it was bought in this session within the last ten minutes."""
    return _is_recent(_known(request).get(str(token.pk), 0.0))


def _known(request: HttpRequest) -> dict[str, float]:
    known: dict[str, float] = request.session.get(_BOUGHT, {})
    return known


def _is_recent(at: float) -> bool:
    return time.time() - at < SECONDS
