"""E-mail addresses: django-allauth's rows, kept equal to `User.email`, and their confirmation."""

import hashlib

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.cache import cache
from django.db import transaction

from accounts import tasks
from accounts.errors import EmailUnverified
from accounts.models import User

_RESEND_INTERVAL = 180  # seconds between two links to the same address


@transaction.atomic
def sync_primary(user: User) -> None:
    """Make `user.email` the primary address. A new address is unconfirmed and replaces the previous one."""
    others = EmailAddress.objects.filter(user=user, primary=True).exclude(email=user.email)
    others.delete()
    address, _created = EmailAddress.objects.get_or_create(user=user, email=user.email, defaults={"primary": True})
    if not address.primary:
        address.primary = True
        address.save(update_fields=["primary"])


def primary_of(user: User) -> EmailAddress | None:
    """Return the row of the user's primary address."""
    return EmailAddress.objects.filter(user=user, primary=True).first()


def is_confirmed(user: User) -> bool:
    """Return whether the user's e-mail address is confirmed."""
    return bool(EmailAddress.objects.filter(user=user, email=user.email, verified=True).exists())


def mark_confirmed(user: User) -> None:
    """Mark the user's e-mail address as confirmed, without a link."""
    EmailAddress.objects.filter(user=user, email=user.email).update(verified=True)


def may_log_in(user: User) -> bool:
    """Return whether `ACCOUNT_EMAIL_VERIFICATION` allows the user to log in."""
    return settings.ACCOUNT_EMAIL_VERIFICATION != "mandatory" or is_confirmed(user)


def require_confirmed(user: User) -> None:
    """Send a link and raise `EmailUnverified` if the user must confirm the address first."""
    if not may_log_in(user):
        send_confirmation(EmailAddress.objects.get(user=user, email=user.email))
        raise EmailUnverified


@transaction.atomic
def request_change(user: User, email: str) -> EmailAddress:
    """Store the address that the user wants to change to, and send a link to it. It is used once it is confirmed.

    Each request creates a new row, so that an earlier link confirms only its own address. allauth's
    `add_new_email` is not used because it would delete the current address if that is unconfirmed.
    """
    EmailAddress.objects.filter(user=user, primary=False).delete()
    address = EmailAddress.objects.create(user=user, email=email)
    send_confirmation(address)
    return address


def send_confirmation(address: EmailAddress) -> None:
    """Send a link to an unconfirmed address after the commit, at most once in `_RESEND_INTERVAL`."""
    digest = hashlib.sha256(address.email.encode()).hexdigest()
    if cache.add(f"confirmation-sent:{address.user_id}:{digest}", 1, timeout=_RESEND_INTERVAL):
        transaction.on_commit(lambda: tasks.send_confirmation.delay(address.pk), robust=True)
