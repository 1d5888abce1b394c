"""Adapters of django-allauth: its pages log in, send e-mails and encrypt through the project's own services."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.stagekit import clear_login
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import Throttled

from accounts import credentials, email_addresses, services
from accounts.errors import InvalidCredentials, InvalidOtp
from accounts.models import User
from accounts.requests import address_of
from zenzefi.common.encryption import cipher
from zenzefi.common.rate_limits import address_key
from zenzefi.common.throttled_forms import throttled_error

SIGNUP_NEXT_KEY = "signup_wanted"  # the key in the session for the page to open after a sign-up


class AccountAdapter(DefaultAccountAdapter):
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": InvalidCredentials.default_detail,
        "incorrect_password": _("The password is wrong."),
        "enter_current_password": _("The password is wrong."),
        "email_taken": _("This e-mail address is already registered."),
    }

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Check the password by the same rules, and with the same count of failures, as the API."""
        try:
            return services.check_credentials(
                credentials["email"], credentials["password"], address=address_of(request)
            )
        except InvalidCredentials:
            return None
        except Throttled as error:
            raise throttled_error(error) from None

    def reauthenticate(self, user: Any, password: str) -> bool:
        found = self.authenticate(context.request, email=user.email, password=password)
        return found is not None and found.pk == user.pk

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the client as allauth's own rate limits count it. The server has applied `TRUSTED_PROXIES`."""
        return address_key(address_of(request))

    def send_confirmation_mail(
        self, request: HttpRequest, emailconfirmation: EmailConfirmationHMAC, signup: bool
    ) -> None:
        if not signup:  # `services.register` has sent it already
            email_addresses.send_confirmation(emailconfirmation.email_address)

    def send_account_already_exists_mail(self, email: str) -> None:
        """Do nothing: `services.register` has sent a hint already."""

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Return False and show a message if the address belongs to another user by now.

        Nothing of a blocked user is accepted.
        """
        if not email_address.user.is_active:
            return False
        try:
            with transaction.atomic():
                return bool(super().confirm_email(request, email_address))
        except IntegrityError:
            self.add_message(request, messages.ERROR, message=str(self.error_messages["email_taken"]))
            return False

    def pre_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse | None:
        credentials.begin_login(request, user)
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        return response

    def login(self, request: HttpRequest, user: Any) -> None:
        """Log in, unless the credentials have ended since the login began. Its password counts as just entered."""
        if not credentials.is_login_current(request, user):
            clear_login(request)
            messages.warning(request, _("Your account was changed meanwhile. Log in again."))
            raise ImmediateHttpResponse(redirect("account_login"))
        super().login(request, user)
        _count_as_reauthentication(request, user)

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse:
        """Redirect to the page that was requested before a sign-up in this browser, once the user is logged in."""
        next_path = request.session.pop(SIGNUP_NEXT_KEY, None)
        response: HttpResponse = super().post_login(
            request, user, **{**kwargs, "redirect_url": kwargs["redirect_url"] or next_path}
        )
        return response

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("profile")


class MFAAdapter(DefaultMFAAdapter):
    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": InvalidOtp.default_detail,
        "unverified_email": _("Confirm your e-mail address before you set up the second factor."),
    }

    def encrypt(self, text: str) -> str:
        return cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return cipher().decrypt(encrypted_text.encode()).decode()


def _count_as_reauthentication(request: HttpRequest, user: User) -> None:
    """Mark what the user just entered as recent, so that the next page does not ask for it again."""
    records = get_authentication_records(request, user)
    if records:
        records[-1]["reauthenticated"] = True
        request.session.modified = True
