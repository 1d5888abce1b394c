"""Language, time zone and content policy of every answer of the control plane, in one hop.

Django's own, one class for each, would cross between threads twice per class under ASGI.
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
    """Stands behind the session and the user; what it activates counts until the next request of its context."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._csp = CSPMiddleware(get_response)
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self._async:
            return self._answer(request)
        self._prepare(request)
        if _may_be_signed_in(request):
            _prefer_the_users(request)
        return self._finish(request, self._get_response(request))

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        self._prepare(request)
        if _may_be_signed_in(request):
            await sync_to_async(_prefer_the_users)(request)
        return self._finish(request, await self._get_response(request))

    def _prepare(self, request: HttpRequest) -> None:
        """From the request alone: so that an error page has its language even without a database."""
        self._csp.process_request(request)
        _speak(request, translation.get_language_from_request(request))
        timezone.activate(time_zone(request.COOKIES.get(settings.TIME_ZONE_COOKIE_NAME, "")))

    def _finish(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        patch_vary_headers(response, ("Accept-Language",))
        response.headers.setdefault("Content-Language", translation.get_language() or settings.LANGUAGE_CODE)
        self._csp.process_response(request, response)
        return response


def _may_be_signed_in(request: HttpRequest) -> bool:
    """The API knows no sessions: it answers by `Accept-Language` alone."""
    return settings.SESSION_COOKIE_NAME in request.COOKIES and not request.path_info.startswith("/api/")


def _prefer_the_users(request: HttpRequest) -> None:
    """What the user has chosen in the profile comes before what the browser says."""
    if language := getattr(request.user, "language", ""):
        _speak(request, language)
    if zone := getattr(request.user, "time_zone", ""):
        timezone.activate(time_zone(zone))


def _speak(request: HttpRequest, language: str) -> None:
    translation.activate(language)
    request.LANGUAGE_CODE = translation.get_language()
