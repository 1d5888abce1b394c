"""A new password, however it was set, ends every login and is told to the user."""

from typing import Any

from django.db import transaction
from django.dispatch import receiver

from accounts import tasks, tokens
from accounts.models import User
from accounts.signals import password_changed


@receiver(password_changed)
def end_logins_and_tell(user: User, **_kwargs: Any) -> None:
    tokens.revoke_families(user)
    # Robust: the password is changed, whatever becomes of the message.
    transaction.on_commit(lambda: tasks.send_password_changed.delay(str(user.pk)), robust=True)
