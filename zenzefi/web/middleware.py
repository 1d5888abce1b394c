"""Language, time zone and content policy of every response of the control plane.

One middleware does all three: under ASGI, each of Django's classes would cost two switches between threads.
"""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers

from zenzefi.common.time_zones import time_zone


class SiteMiddleware:
    """Middleware that needs those of session and user before it. Language and zone last until the next request."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._csp = CSPMiddleware(get_response)
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self._async:
            return self._respond_async(request)
        self._prepare(request)
        if _may_have_user(request):
            _apply_profile(request)
        return self._finish(request, self._get_response(request))

    async def _respond_async(self, request: HttpRequest) -> HttpResponse:
        self._prepare(request)
        if _may_have_user(request):
            await sync_to_async(_apply_profile)(request)
        return self._finish(request, await self._get_response(request))

    def _prepare(self, request: HttpRequest) -> None:
        """Use the request alone, so that error pages have a language without the database."""
        self._csp.process_request(request)
        _activate_language(request, translation.get_language_from_request(request))
        timezone.activate(time_zone(request.COOKIES.get(settings.TIME_ZONE_COOKIE_NAME, "")))

    def _finish(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Add the headers of language and content policy."""
        patch_vary_headers(response, ("Accept-Language",))
        response.headers.setdefault("Content-Language", translation.get_language() or settings.LANGUAGE_CODE)
        self._csp.process_response(request, response)
        return response


def _may_have_user(request: HttpRequest) -> bool:
    """Return whether there may be a logged-in user. The API has no sessions; it uses `Accept-Language` only."""
    return settings.SESSION_COOKIE_NAME in request.COOKIES and not request.path_info.startswith("/api/")


def _apply_profile(request: HttpRequest) -> None:
    """Activate the choices in the user's profile, which take precedence over those of the browser."""
    if language := getattr(request.user, "language", ""):
        _activate_language(request, language)
    if zone := getattr(request.user, "time_zone", ""):
        timezone.activate(time_zone(zone))


def _activate_language(request: HttpRequest, language: str) -> None:
    translation.activate(language)
    request.LANGUAGE_CODE = translation.get_language()
