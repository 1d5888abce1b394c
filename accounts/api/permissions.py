"""Permissions of the administration API."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import mfa
from accounts.errors import SecondFactorMissing


class IsSuperuser(BasePermission):
    """Superusers only, with a second factor if `ADMIN_REQUIRE_MFA` is set."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the user is a superuser. Raise `SecondFactorMissing` if a required factor is not set up."""
        if not (request.user and request.user.is_superuser):
            return False
        if mfa.lacks_required_factor(request.user):
            raise SecondFactorMissing
        return True
