"""Locks on a user's row, so that a block or a deletion takes turns with the user's other calls.

A call that writes for a user locks the row first, before any other row, and continues only if the account is still
open. The calls that move money share the lock, so they do not wait for each other, only for a block or a deletion.
SQLite needs no lock: its transactions take the only write lock when they begin.
"""

from uuid import UUID

from django.db import connection

from accounts.errors import AccountClosed
from accounts.models import User


def lock(user_id: UUID) -> User:
    """Lock a user's row alone until the end of the transaction, and return its current state."""
    return User.objects.select_for_update().get(pk=user_id)


def lock_active(user: User) -> None:
    """Lock the row of a user who acts. Raise `AccountClosed` if the user was blocked or deleted meanwhile."""
    if not lock(user.pk).is_active:
        raise AccountClosed


def share(user_id: UUID) -> User:
    """Lock a user's row together with others who share it, and return its current state.

    A transaction that shares the row must not lock it alone later: two of them would wait for each other.
    """
    if connection.vendor != "postgresql":
        return User.objects.get(pk=user_id)
    return User.objects.raw('SELECT * FROM "accounts_user" WHERE "id" = %s FOR KEY SHARE', [user_id])[0]


def share_active(user: User) -> None:
    """Share the row of a user who acts. Raise `AccountClosed` if the user was blocked or deleted meanwhile."""
    if not share(user.pk).is_active:
        raise AccountClosed
