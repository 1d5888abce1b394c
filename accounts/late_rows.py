"""Rows that a call in flight would still write for a deleted user: rejected, in whatever code they are saved."""

from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db import connection, transaction
from django.db.models.signals import post_save, pre_save
from django.dispatch import receiver

from accounts import locks
from accounts.errors import AccountClosed
from accounts.models import ApiToken, RefreshFamily, User
from accounts.sessions import WebSession

_PERSONAL = (EmailAddress, Authenticator, ApiToken, RefreshFamily, WebSession)


@receiver(pre_save, sender=User)
def keep_deleted_users_nameless(
    instance: User, *, raw: bool, update_fields: frozenset[str] | None, **_kwargs: Any
) -> None:
    """Reject a change of a deleted user, which a call that read the row before would save with the old names."""
    is_new = instance.created_at is None
    if not raw and not is_new and update_fields != frozenset({"last_login"}):
        _require_undeleted(instance.pk)


def reject_before(instance: Any, *, raw: bool, **_kwargs: Any) -> None:
    """Lock the user before the row, in the order of a deletion, if the row is part of a transaction."""
    if not raw and instance.user_id and connection.in_atomic_block:
        _require_undeleted(instance.user_id)


def remove_after(instance: Any, *, raw: bool, **_kwargs: Any) -> None:
    """Remove a row that was saved alone while its user was being deleted: it was not there yet to be deleted."""
    if raw or not instance.user_id or connection.in_atomic_block:
        return
    with transaction.atomic():
        deleted = locks.lock(instance.user_id).deleted_at is not None
        if deleted:
            instance.delete()
    if deleted:
        raise AccountClosed


def _require_undeleted(user_id: UUID) -> None:
    if locks.lock(user_id).deleted_at is not None:
        raise AccountClosed


for model in _PERSONAL:
    pre_save.connect(reject_before, sender=model)
    post_save.connect(remove_after, sender=model)
