"""Sensitive pages ask for the password, or a code, once more."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from allauth.account.decorators import reauthentication_required

View = TypeVar("View", bound=Callable[..., Any])


def password_again(view: View) -> View:
    """A view for who has given the password, or a code of the second factor, within the last five minutes.

    Asked for before the page is shown: nothing that was typed waits in the session meanwhile.
    """
    return cast("View", reauthentication_required(app="accounts")(view))
