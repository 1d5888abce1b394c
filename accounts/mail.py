"""E-mails to users: short plain text from `templates/accounts/email/`, in the user's language."""

from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import override

from accounts.models import User


def in_language_of(user: User) -> override:
    """The context in which texts are in the user's language; where none is known, in the site's own."""
    return override(user.language or settings.LANGUAGE_CODE)


def send(name: str, user: User, *, to: str = "", **context: Any) -> None:
    """Send the template `name`, whose first line is the subject, to the user, or to another address of hers."""
    with in_language_of(user):
        text = render_to_string(f"accounts/email/{name}.txt", {"user": user, "site": settings.BACKEND_URL, **context})
    subject, _newline, body = text.strip().partition("\n")
    send_mail(subject, body.strip() + "\n", None, [to or user.email])


def link(view: str, **kwargs: str) -> str:
    """The absolute URL of a page. From `BACKEND_URL`, never from a request: its Host header is the sender's."""
    return settings.BACKEND_URL + reverse(view, kwargs=kwargs)
