"""The page to which a user returns after a payment, kept in the session."""

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from billing.models import Payment

_SESSION_KEY = "billing_ways_back"
# Payments whose page is kept; the oldest is dropped.
_MAX_PAYMENTS = 5


def requested(request: HttpRequest) -> str:
    """Return the path in `?next=` if it leads to this site, otherwise an empty string."""
    path = request.GET.get("next", "")
    safe = path.startswith("/") and url_has_allowed_host_and_scheme(path, {request.get_host()})
    return path if safe else ""


def remember(request: HttpRequest, payment: Payment, path: str) -> None:
    """Keep the path to return to after a payment."""
    kept = {**request.session.get(_SESSION_KEY, {}), str(payment.pk): path}
    request.session[_SESSION_KEY] = dict(list(kept.items())[-_MAX_PAYMENTS:])


def recall(request: HttpRequest, payment: Payment) -> str:
    """Return the path kept for a payment, or an empty string."""
    path: str = request.session.get(_SESSION_KEY, {}).get(str(payment.pk), "")
    return path
