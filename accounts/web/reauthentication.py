"""Sensitive pages ask for the password, or a code, once more."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from allauth.account.decorators import reauthentication_required
from allauth.account.internal.flows.reauthentication import is_reauthentication_required
from django import forms
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from rest_framework.exceptions import Throttled

from accounts import services
from accounts.errors import InvalidCredentials
from accounts.requests import current_user
from accounts.web.forms import current_password
from zenzefi.common.throttled_forms import too_many

View = TypeVar("View", bound=Callable[..., Any])


def password_again(view: View) -> View:
    """A view for who has given the password, or a code of the second factor, within the last five minutes.

    Asked for before the page is shown: nothing that was typed waits in the session meanwhile.
    """
    return cast("View", reauthentication_required(app="accounts")(view))


def page_after_password(page: str) -> Callable[[View], View]:
    """As `password_again`, for a view that gives a file: the password leads to the page of this name that offers it.

    A file as the answer to the password would leave the page that asks for it on the screen.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if is_reauthentication_required(request, app="accounts"):
                return redirect_to_login(reverse(page), reverse("account_reauthenticate"))
            return view(request, *args, **kwargs)

        return cast("View", wrapper)

    return decorate


class PasswordForm(forms.Form):
    """Asks for the password, whenever it was given last."""

    password = current_password()

    def verify(self, request: HttpRequest) -> bool:
        """Whether the password is right; else the form says why not. Wrong ones count as failed logins."""
        if not self.is_valid():
            return False
        user, address = current_user(request), request.META.get("REMOTE_ADDR", "")
        try:
            services.check_credentials(user.email, self.cleaned_data["password"], address=address)
        except InvalidCredentials:
            self.add_error("password", gettext("The password is wrong."))
        except Throttled as refused:
            self.add_error("password", too_many(refused))
        return not self.errors
