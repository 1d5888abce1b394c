"""Who is blocked or owes loses all access, and regains it, in the transaction that decides so."""

from typing import Any

from django.dispatch import receiver

from access import outbox
from access.models import Revocation
from accounts.models import User
from accounts.signals import user_activity_changed
from billing.signals import debt_incurred, debt_paid


@receiver(user_activity_changed)
def tell_the_data_plane(user: User, **_kwargs: Any) -> None:
    outbox.write(Revocation.Cause.CHANGED if user.is_active else Revocation.Cause.USER_BLOCKED, user=user)


@receiver(debt_incurred)
def freeze_tokens(user: User, **_kwargs: Any) -> None:
    """No row of a token changes: tokens are frozen for as long as the wallet of their user has a debt."""
    outbox.write(Revocation.Cause.FROZEN, user=user)


@receiver(debt_paid)
def thaw_tokens(user: User, **_kwargs: Any) -> None:
    outbox.write(Revocation.Cause.CHANGED, user=user)
