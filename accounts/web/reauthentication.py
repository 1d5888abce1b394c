"""Reauthentication: sensitive pages ask for the password, or a code, again."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from allauth.account import decorators
from allauth.account.internal.flows.reauthentication import is_reauthentication_required
from django import forms
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from rest_framework.exceptions import Throttled

from accounts import services
from accounts.errors import InvalidCredentials
from accounts.requests import address_of, current_user
from accounts.web.forms import current_password_field
from zenzefi.common.throttled_forms import throttled_error

View = TypeVar("View", bound=Callable[..., Any])


def reauthentication_required(view: View) -> View:
    """Require that the user gave the password, or a code of the second factor, within the last five minutes.

    The user is asked before the page is shown, so no form data has to wait in the session.
    """
    return cast("View", decorators.reauthentication_required(app="accounts")(view))


def reauthentication_required_at(page: str) -> Callable[[View], View]:
    """Require the same for a view that returns a file, and lead the user to the page named `page` afterwards.

    If the password form returned the file itself, the browser would keep showing that form.
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
    """A form that asks for the password, no matter when it was last given."""

    password = current_password_field()

    def verify(self, request: HttpRequest) -> bool:
        """Check the password and return True if it is right; a wrong one counts as a failed login.

        Otherwise the form holds the error.
        """
        if not self.is_valid():
            return False
        user, address = current_user(request), address_of(request)
        try:
            services.check_credentials(user.email, self.cleaned_data["password"], address=address)
        except InvalidCredentials:
            self.add_error("password", gettext("The password is wrong."))
        except Throttled as error:
            self.add_error("password", throttled_error(error))
        return not self.errors
