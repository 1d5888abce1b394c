"""Receivers that freeze and restore the access of users who are blocked or in debt.

They run in the transaction that changes the user or the wallet.
"""

from typing import Any

from django.dispatch import receiver

from access import outbox
from access.models import Revocation
from accounts.models import User
from accounts.signals import user_activity_changed
from billing.signals import debt_incurred, debt_paid


@receiver(user_activity_changed)
def notify_of_user_activity(user: User, **_kwargs: Any) -> None:
    """Notify the data plane that a user was blocked or unblocked."""
    outbox.write(Revocation.Cause.CHANGED if user.is_active else Revocation.Cause.USER_BLOCKED, user=user)


@receiver(debt_incurred)
def freeze_tokens(user: User, **_kwargs: Any) -> None:
    """Notify the data plane of a debt. Token rows do not change: the wallet's debt freezes all tokens of its user."""
    outbox.write(Revocation.Cause.FROZEN, user=user)


@receiver(debt_paid)
def unfreeze_tokens(user: User, **_kwargs: Any) -> None:
    """Notify the data plane that the debt is paid."""
    outbox.write(Revocation.Cause.CHANGED, user=user)
