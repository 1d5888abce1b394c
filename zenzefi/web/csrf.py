"""`Sec-Fetch-Site` (W3C Fetch Metadata) as evidence of where a request comes from, for Django's CSRF protection."""

from django.conf import settings
from django.http import HttpRequest


def apply_fetch_site(request: HttpRequest) -> None:
    """Correct the request's `Origin` by `Sec-Fetch-Site`, which no page can set.

    A form on a page with the policy `no-referrer` is sent with `Origin: null`, also from the site's own pages. Such a
    request gets the site's origin; one of another site gets `null`, which Django refuses. Django checks the token of
    the form in each case.
    """
    site = request.headers.get("Sec-Fetch-Site", "")
    origin = request.META.get("HTTP_ORIGIN")
    if site == "same-origin" and origin in (None, "null"):
        request.META["HTTP_ORIGIN"] = settings.BACKEND_URL
    elif site in ("cross-site", "same-site") and origin is not None:
        request.META["HTTP_ORIGIN"] = "null"
