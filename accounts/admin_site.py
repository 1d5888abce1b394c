"""The admin site. It uses the normal login, so that the rules for e-mail, second factor and limits apply."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from allauth.account.utils import get_next_redirect_url
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from accounts import mfa


class OperatorsSite(AdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and not mfa.lacks_required_factor(request.user)  # type: ignore[arg-type]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect to the login, to the set-up of the second factor, or to the requested page."""
        response: HttpResponse = secure_admin_login(self._enter)(request)
        return response

    def password_change(  # type: ignore[override]  # Django's method returns a page
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("account_change_password")

    def _enter(self, request: HttpRequest) -> HttpResponse:
        if not self.has_permission(request):
            messages.warning(request, _("Operators need a second factor. Set it up to open the admin site."))
            return redirect("mfa_activate_totp")
        return redirect(get_next_redirect_url(request) or "admin:index")
