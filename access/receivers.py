"""A blocked user loses all access, an unblocked one regains it, in the transaction that decides so."""

from typing import Any

from django.dispatch import receiver

from access import outbox
from access.models import Revocation
from accounts.models import User
from accounts.signals import user_activity_changed


@receiver(user_activity_changed)
def tell_the_data_plane(user: User, **_kwargs: Any) -> None:
    outbox.write(Revocation.Cause.CHANGED if user.is_active else Revocation.Cause.USER_BLOCKED, user=user)
