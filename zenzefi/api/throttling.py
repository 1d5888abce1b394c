"""The API's rate limit (`RATE_LIMIT_API`): per user, and per address for anonymous calls."""

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from zenzefi.common.rate_limits import RateLimit, address_key

if TYPE_CHECKING:  # DRF's views import this module through the settings
    from rest_framework.views import APIView


class ApiThrottle(BaseThrottle):
    """Limit of calls by the id of the user or, for anonymous calls, by their address."""

    def allow_request(self, request: Request, view: "APIView | None") -> bool:
        request.is_counted = True  # type: ignore[attr-defined]
        user = request.user
        self._key = str(user.pk) if user.is_authenticated else address_key(request.META.get("REMOTE_ADDR"))
        self._limit = RateLimit("api", settings.RATE_LIMIT_API)
        return self._limit.hit(self._key)

    def wait(self) -> float | None:
        return self._limit.retry_after(self._key)


def count_denied(error: exceptions.APIException, request: Request) -> exceptions.APIException:
    """Count a call that was denied before its limit was checked, and return the error for its response.

    DRF checks credentials and permissions first, so wrong credentials would otherwise be free.
    """
    if error.status_code not in (401, 403) or getattr(request, "is_counted", False):
        return error
    throttle = ApiThrottle()
    return error if throttle.allow_request(request, None) else exceptions.Throttled(throttle.wait())
