"""django-allauth's pages for login and sign-up, with responses to too many attempts."""

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
from zenzefi.common.throttled_forms import ThrottledFormMixin, throttled_error


class LoginView(ThrottledFormMixin, account.LoginView):
    pass


class SignupView(ThrottledFormMixin, account.SignupView):
    def get_initial(self) -> dict[str, Any]:
        """Fill in the code of a referral link (`?ref=`), besides allauth's `?email=`."""
        return {**super().get_initial(), "referral_code": self.request.GET.get("ref", "")[:16]}

    def form_valid(self, form: Any) -> HttpResponse:
        next_path = self.get_next_url() or ""
        if next_path.startswith("/"):
            self.request.session[SIGNUP_NEXT_KEY] = next_path
        try:
            response: HttpResponse = super().form_valid(form)
        except ValidationError as error:
            for field, problems in error.detail.items():  # type: ignore[union-attr]  # the service names the fields
                for problem in problems:
                    form.add_error(field, str(problem))
            response = self.form_invalid(form)
        except Throttled as error:
            form.add_error(None, throttled_error(error))
            response = self.form_invalid(form)
        return response


@method_decorator([login_required, reauthentication_required], name="dispatch")
class EmailView(account.EmailView):
    pass


class PasswordChangeView(ThrottledFormMixin, account.PasswordChangeView):
    pass


class PasswordResetView(ThrottledFormMixin, account.PasswordResetView):
    def form_valid(self, form: Any) -> HttpResponse:
        try:
            response: HttpResponse = super().form_valid(form)
        except Throttled as error:
            form.add_error(None, throttled_error(error))
            response = self.form_invalid(form)
        return response


class ReauthenticateView(ThrottledFormMixin, account.ReauthenticateView):
    pass


class MFAAuthenticateView(ThrottledFormMixin, mfa.AuthenticateView):
    pass


class OriginReferrerMixin:
    """A view whose URL contains a key. Only the origin is sent as the referrer, so that the key does not leak.

    `no-referrer` would also remove the `Origin` header from the form, and Django would reject it.
    """

    def dispatch(self, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().dispatch(*args, **kwargs)  # type: ignore[misc]
        response["Referrer-Policy"] = "strict-origin"
        return response


class ConfirmEmailView(OriginReferrerMixin, account.ConfirmEmailView):
    pass


class PasswordResetFromKeyView(OriginReferrerMixin, account.PasswordResetFromKeyView):
    pass


class MFAReauthenticateView(ThrottledFormMixin, mfa.ReauthenticateView):
    pass


@method_decorator([login_required, reauthentication_required_at("mfa_view_recovery_codes")], name="dispatch")
class DownloadRecoveryCodesView(codes.DownloadRecoveryCodesView):
    """The file of recovery codes, in response to a POST. A GET redirects to the page that shows the codes."""

    def get(self, *_args: Any, **_kwargs: Any) -> HttpResponse:
        return redirect("mfa_view_recovery_codes")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().get(request, *args, **kwargs)
        return response
