"""What is known about users."""

from django.db.models import Value
from django.db.models.functions import Lower

from accounts.models import User


def stored(user: User) -> User:
    """Return the user read again from the database, without the changes made to `user` since."""
    return User.objects.get(pk=user.pk)


def email_taken(email: str) -> bool:
    """`email` in its normalised form."""
    return User.objects.filter(email=email).exists()


def username_taken(username: str) -> bool:
    """Compared as the database's unique constraint compares."""
    return User.objects.alias(folded=Lower("username")).filter(folded=Lower(Value(username))).exists()


def referrer(code: str) -> User | None:
    """The user whose referral code this is."""
    return User.objects.filter(referral_code=code).first()
