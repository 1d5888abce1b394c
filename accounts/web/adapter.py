"""Adapters of django-allauth: its pages log in, send e-mails and encrypt through the project's own services."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import Throttled

from accounts import email_addresses, services
from accounts.errors import InvalidCredentials, InvalidOtp
from accounts.models import User
from accounts.requests import address_of
from zenzefi.common.encryption import cipher
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
                credentials["email"], credentials["password"], address=self.get_client_ip(request)
            )
        except InvalidCredentials:
            return None
        except Throttled as error:
            raise throttled_error(error) from None

    def reauthenticate(self, user: Any, password: str) -> bool:
        found = self.authenticate(context.request, email=user.email, password=password)
        return found is not None and found.pk == user.pk

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the client's address. The server has already applied `TRUSTED_PROXIES`."""
        return address_of(request)

    def send_confirmation_mail(
        self, request: HttpRequest, emailconfirmation: EmailConfirmationHMAC, signup: bool
    ) -> None:
        if not signup:  # `services.register` has sent it already
            email_addresses.send_confirmation(emailconfirmation.email_address)

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Return False and show a message if the address belongs to another user by now."""
        try:
            with transaction.atomic():
                return bool(super().confirm_email(request, email_address))
        except IntegrityError:
            self.add_message(request, messages.ERROR, message=str(self.error_messages["email_taken"]))
            return False

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
