"""Administration is for superusers, with a second factor where `ADMIN_REQUIRE_MFA` asks for one."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import mfa
from accounts.errors import SecondFactorMissing


class IsSuperuser(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        if not (request.user and request.user.is_superuser):
            return False
        if mfa.operator_lacks_it(request.user):
            raise SecondFactorMissing
        return True
