"""The API's rate limit (`RATE_LIMIT_API`): per user, and per address for anonymous calls."""

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from zenzefi.common.rate_limits import RateLimit

if TYPE_CHECKING:  # DRF's views import this module through the settings
    from rest_framework.views import APIView


class ApiThrottle(BaseThrottle):
    """Limit of calls by the id of the user or, for anonymous calls, by their address."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        user = request.user
        self._key = str(user.pk) if user.is_authenticated else str(request.META.get("REMOTE_ADDR"))
        self._limit = RateLimit("api", settings.RATE_LIMIT_API)
        return self._limit.hit(self._key)

    def wait(self) -> float | None:
        return self._limit.retry_after(self._key)
