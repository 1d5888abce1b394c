"""Users for tests, their second factors, and links in messages."""

import re
import time
from typing import Any

import factory
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.core.mail import EmailMessage

from accounts.models import User

PASSWORD = "correct-horse-7"


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User

    username = factory.Sequence(lambda number: f"customer{number}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.com")
    full_name = factory.LazyAttribute(lambda user: user.username.title())

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        password = kwargs.pop("password", PASSWORD)
        return model_class.objects.create_user(*args, password=password, **kwargs)


def turn_on_totp(user: User) -> str:
    """Turn on the user's second factor with recovery codes, and return the secret of the authenticator."""
    secret = totp.generate_totp_secret()
    totp.TOTP.activate(user, secret)
    RecoveryCodes.activate(user)
    return secret


def code_of(secret: str, *, steps: int = 0) -> str:
    """Return the code that the authenticator app shows now, or `steps` periods later."""
    counter = int(time.time()) // 30 + steps
    return totp.format_hotp_value(totp.hotp_value(secret, counter))


def recovery_codes_of(user: User) -> list[str]:
    return Authenticator.objects.get(user=user, type=Authenticator.Type.RECOVERY_CODES).wrap().get_unused_codes()


def link_in(message: EmailMessage, base: str = "http://127.0.0.1:8000") -> str:
    """Return the path of the link in a message."""
    return re.search(rf"^{re.escape(base)}(/\S+)$", message.body, re.MULTILINE)[1]
