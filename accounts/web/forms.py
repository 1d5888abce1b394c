"""Forms of the account pages, most of them used by django-allauth (`ACCOUNT_FORMS`, `MFA_FORMS`)."""

from functools import cache
from typing import TYPE_CHECKING, Any

from allauth.account import forms as account_forms
from allauth.core import context
from allauth.mfa.base import forms as mfa_forms
from allauth.mfa.totp import forms as totp_forms
from django import forms
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import Throttled

from accounts import email_addresses, mfa, selectors, services
from accounts.errors import InvalidOtp
from accounts.models import ApiToken, User, normalise_email, username_form
from accounts.requests import address_of
from accounts.web.adapter import AccountAdapter
from zenzefi.common.keyed_form import KeyedForm
from zenzefi.common.throttled_forms import throttled_error
from zenzefi.common.time_zones import time_zone_names

if TYPE_CHECKING:  # generic in the stubs only
    ProfileBase = forms.ModelForm[User]
else:
    ProfileBase = forms.ModelForm

MAX_PASSWORD = 128  # as in the API


def email_field(**attributes: Any) -> forms.EmailField:
    widget = forms.EmailInput({"autocomplete": "email", **attributes})
    return forms.EmailField(label=_("E-mail"), max_length=254, widget=widget)


def current_password_field(label: Any = None, **attributes: Any) -> forms.CharField:
    widget = forms.PasswordInput({"autocomplete": "current-password", **attributes})
    return forms.CharField(label=label or _("Password"), strip=False, widget=widget)


def new_password_field(label: Any) -> forms.CharField:
    """Return a field for a new password, entered once. A user who mistypes it can reset it."""
    widget = forms.PasswordInput({"autocomplete": "new-password"})
    return forms.CharField(
        label=label,
        strip=False,
        max_length=MAX_PASSWORD,
        widget=widget,
        help_text=_("At least 8 characters, not only digits, and not easy to guess."),
    )


def code_field() -> forms.CharField:
    attributes = {"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}
    return forms.CharField(label=_("Code"), max_length=20, widget=forms.TextInput(attributes))


def _client_address() -> str:
    return address_of(context.request)


class LoginForm(account_forms.LoginForm):
    password = current_password_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"] = email_field(autofocus=True)
        self.order_fields(["login", "password"])


class SignupForm(forms.Form):
    """The sign-up. `services.register` validates, and its errors are shown at their fields."""

    email = email_field(autofocus=True)
    username = forms.CharField(
        label=_("User name"),
        max_length=64,
        validators=[username_form],
        widget=forms.TextInput({"autocomplete": "username"}),
        help_text=_("3 to 64 letters, digits, dots, dashes, plus signs or underscores."),
    )
    password = new_password_field(_("Password"))
    full_name = forms.CharField(
        label=_("Full name"), max_length=200, required=False, widget=forms.TextInput({"autocomplete": "name"})
    )
    referral_code = forms.CharField(
        label=_("Referral code"), max_length=16, required=False, widget=forms.TextInput({"autocomplete": "off"})
    )
    by_passkey = False  # read by allauth's view

    def try_save(self, _request: HttpRequest) -> tuple[User, None]:
        return services.register(**self.cleaned_data, address=_client_address()), None


class AddEmailForm(account_forms.UserForm):
    """The change of the e-mail address."""

    email = email_field()

    def clean_email(self) -> str:
        email = normalise_email(self.cleaned_data["email"])
        if email == self.user.email:
            raise AccountAdapter().validation_error("same_as_current")
        if selectors.email_taken(email):
            raise AccountAdapter().validation_error("email_taken")
        return email

    def save(self, _request: HttpRequest) -> Any:
        return email_addresses.request_change(self.user, self.cleaned_data["email"])


class _NewPasswordMixin:
    """A single field for a new password, checked by the password validators."""

    user: Any
    cleaned_data: dict[str, Any]

    def clean_password1(self) -> str:
        password: str = self.cleaned_data["password1"]
        validate_password(password, self.user)
        return password


class ChangePasswordForm(_NewPasswordMixin, account_forms.ChangePasswordForm):
    oldpassword = current_password_field(_("Current password"))
    password1 = new_password_field(_("New password"))
    password2 = None

    def clean_oldpassword(self) -> str:
        password: str = self.cleaned_data["oldpassword"]
        if not AccountAdapter().reauthenticate(self.user, password):
            raise AccountAdapter().validation_error("enter_current_password")
        return password


class ResetPasswordForm(account_forms.ResetPasswordForm):
    """The request for a new password. It never looks up the user; a job does, after the response."""

    email = email_field(autofocus=True)

    def clean_email(self) -> str:
        return normalise_email(self.cleaned_data["email"])

    def save(self, request: HttpRequest, **_kwargs: Any) -> str:
        email: str = self.cleaned_data["email"]
        services.request_password_reset(email, address=_client_address())
        return email


class ResetPasswordKeyForm(_NewPasswordMixin, account_forms.ResetPasswordKeyForm):
    password1 = new_password_field(_("New password"))
    password2 = None


class ReauthenticateForm(account_forms.ReauthenticateForm):
    password = current_password_field(autofocus=True)


class _CodeMixin:
    user: Any
    cleaned_data: dict[str, Any]

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        try:
            self.authenticator = mfa.use_code(self.user, code, address=_client_address())
        except InvalidOtp as error:
            raise forms.ValidationError(str(error.detail)) from None
        except Throttled as error:
            raise throttled_error(error) from None
        return code


class MFAAuthenticateForm(_CodeMixin, mfa_forms.AuthenticateForm):
    code = code_field()


class MFAReauthenticateForm(_CodeMixin, mfa_forms.ReauthenticateForm):
    code = code_field()


class ActivateTOTPForm(totp_forms.ActivateTOTPForm):
    code = code_field()

    def clean_code(self) -> str:
        code: str = super().clean_code()
        mfa.spend_totp_code(self.user, code)  # so that the code cannot be used again to log in
        return code


class ProfileForm(ProfileBase):
    class Meta:
        model = User
        fields = ["full_name", "language", "time_zone"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        as_browser = [("", _("Same as the browser"))]
        self.fields["full_name"].widget.attrs["autocomplete"] = "name"
        self.fields["language"] = forms.ChoiceField(
            label=_("Language"), choices=[*as_browser, *settings.LANGUAGES], required=False
        )
        self.fields["time_zone"] = forms.ChoiceField(
            label=_("Time zone"), choices=[*as_browser, *((name, name) for name in time_zones())], required=False
        )


@cache
def time_zones() -> list[str]:
    """Return `UTC` and the names with a region, such as `Europe/Berlin`, without old ones such as `US/Eastern`."""
    old = ("Etc", "SystemV", "US", "Canada", "Brazil", "Chile", "Mexico")
    return ["UTC", *sorted(name for name in time_zone_names() if "/" in name and not name.startswith(old))]


class ApiTokenForm(KeyedForm):
    DAYS = [(7, _("7 days")), (30, _("30 days")), (90, _("90 days")), (365, _("1 year"))]

    name = forms.CharField(
        label=_("Name"), max_length=100, help_text=_("The purpose of the token, for example “backup script”.")
    )
    scopes = forms.MultipleChoiceField(
        label=_("Permissions"),
        choices=ApiToken.Scope.choices,
        widget=forms.CheckboxSelectMultiple({"class": "form-check-input"}),
    )
    days = forms.TypedChoiceField(label=_("Expires after"), choices=DAYS, coerce=int, initial=90)
