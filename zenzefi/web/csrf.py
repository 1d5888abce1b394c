"""Protection of the site's forms against other sites, with `Sec-Fetch-Site` (W3C Fetch Metadata) as evidence."""

from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware

_FOREIGN = ("cross-site", "same-site")


class CsrfMiddleware(CsrfViewMiddleware):
    """Django's protection, for browsers that hide the origin or the referrer of the site's own pages, too.

    A form on a page with the policy `no-referrer` is sent with `Origin: null`. No page can set `Sec-Fetch-Site`. The
    token of the form is checked in each case.
    """

    def _origin_verified(self, request: HttpRequest) -> bool:
        site = request.headers.get("Sec-Fetch-Site", "")
        if request.headers["Origin"] == "null":
            return site == "same-origin"
        return site not in _FOREIGN and bool(super()._origin_verified(request))  # type: ignore[misc]  # not in the stubs

    def _check_referer(self, request: HttpRequest) -> None:
        if request.headers.get("Sec-Fetch-Site") != "same-origin":
            super()._check_referer(request)  # type: ignore[misc]  # not in the stubs
