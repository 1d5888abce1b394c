"""E-mails to users: plain text from `templates/accounts/email/`, in the user's language."""

from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import override

from accounts.models import User


def in_language_of(user: User) -> override:
    """Return a context that translates into the user's language, or into the site's default if none is known."""
    return override(user.language or settings.LANGUAGE_CODE)


def send(name: str, user: User, *, to: str = "", **context: Any) -> None:
    """Send the template `name` to `to`, by default the user's address. Its first line is the subject."""
    with in_language_of(user):
        text = render_to_string(f"accounts/email/{name}.txt", {"user": user, "site": settings.BACKEND_URL, **context})
    subject, _newline, body = text.strip().partition("\n")
    send_mail(subject, body.strip() + "\n", None, [to or user.email])


def link(view: str, **kwargs: str) -> str:
    """Return the absolute URL of a page, based on `BACKEND_URL`. The Host header of a request is not trusted."""
    return settings.BACKEND_URL + reverse(view, kwargs=kwargs)
