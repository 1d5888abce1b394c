"""Look-ups of users."""

from django.db.models import Value
from django.db.models.functions import Lower

from accounts.models import User


def stored(user: User) -> User:
    """Read the user again from the database, so that changes to the result do not affect `user`."""
    return User.objects.get(pk=user.pk)


def email_taken(email: str) -> bool:
    """Return whether a user has this e-mail address, given in its normalised form."""
    return User.objects.filter(email=email).exists()


def username_taken(username: str) -> bool:
    """Return whether a user has this name, compared as the database's unique constraint does."""
    return User.objects.alias(folded=Lower("username")).filter(folded=Lower(Value(username))).exists()


def referrer(code: str) -> User | None:
    """Return the user with this referral code."""
    return User.objects.filter(referral_code=code).first()
