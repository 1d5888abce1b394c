"""django-allauth's pages for coming in, with the project's answers to too many attempts."""

from typing import Any

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as codes
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from rest_framework.exceptions import Throttled, ValidationError

from accounts.web.adapter import SIGNUP_NEXT_KEY
from accounts.web.reauthentication import reauthentication_required, reauthentication_required_at
from zenzefi.common.throttled_forms import SaysTooMany, too_many


class LoginView(SaysTooMany, account.LoginView):
    pass


class SignupView(SaysTooMany, account.SignupView):
    def get_initial(self) -> dict[str, Any]:
        """`?ref=` of a referral link, beside allauth's `?email=`."""
        return {**super().get_initial(), "referral_code": self.request.GET.get("ref", "")[:16]}

    def form_valid(self, form: Any) -> HttpResponse:
        wanted = self.get_next_url() or ""
        if wanted.startswith("/"):
            self.request.session[SIGNUP_NEXT_KEY] = wanted
        try:
            answer: HttpResponse = super().form_valid(form)
        except ValidationError as refused:
            for field, problems in refused.detail.items():  # type: ignore[union-attr]  # the service names the fields
                for problem in problems:
                    form.add_error(field, str(problem))
        except Throttled as refused:
            form.add_error(None, too_many(refused))
        else:
            return answer
        refusal: HttpResponse = self.form_invalid(form)
        return refusal


@method_decorator([login_required, reauthentication_required], name="dispatch")
class EmailView(account.EmailView):
    pass


class PasswordChangeView(SaysTooMany, account.PasswordChangeView):
    pass


class PasswordResetView(SaysTooMany, account.PasswordResetView):
    def form_valid(self, form: Any) -> HttpResponse:
        try:
            answer: HttpResponse = super().form_valid(form)
        except Throttled as refused:
            form.add_error(None, too_many(refused))
            answer = self.form_invalid(form)
        return answer


class ReauthenticateView(SaysTooMany, account.ReauthenticateView):
    pass


class MFAAuthenticateView(SaysTooMany, mfa.AuthenticateView):
    pass


class OriginReferrerMixin:
    """A view whose URL is a key: no other address is told more than this server's. (`no-referrer` would also take the
    `Origin` from the form, and Django then refuses it.)"""

    def dispatch(self, *args: Any, **kwargs: Any) -> HttpResponse:
        answer: HttpResponse = super().dispatch(*args, **kwargs)  # type: ignore[misc]
        answer["Referrer-Policy"] = "strict-origin"
        return answer


class ConfirmEmailView(OriginReferrerMixin, account.ConfirmEmailView):
    pass


class PasswordResetFromKeyView(OriginReferrerMixin, account.PasswordResetFromKeyView):
    pass


class MFAReauthenticateView(SaysTooMany, mfa.ReauthenticateView):
    pass


@method_decorator([login_required, reauthentication_required_at("mfa_view_recovery_codes")], name="dispatch")
class DownloadRecoveryCodesView(codes.DownloadRecoveryCodesView):
    """A POST of the page that shows them gives the file; a link leads to that page."""

    def get(self, *_args: Any, **_kwargs: Any) -> HttpResponse:
        return redirect("mfa_view_recovery_codes")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer: HttpResponse = super().get(request, *args, **kwargs)
        return answer
