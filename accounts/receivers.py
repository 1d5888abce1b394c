"""Reactions to changes of users: revoked logins, audit events, notices, synchronised addresses."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.signals import email_changed
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from accounts import audit, email_addresses, jwt, logins, tasks
from accounts.models import User
from accounts.requests import address_of, user_agent_of
from accounts.sessions import CLIENT_KEY
from accounts.signals import password_changed, superuser_created
from zenzefi.common.ip_addresses import normalise_ip_address


@receiver(password_changed)
def end_logins_and_notify(user: User, **_kwargs: Any) -> None:
    """Revoke logins and send a notice after any change of the password."""
    jwt.revoke_families(user)
    logins.detach_sessions(user)
    # Robust: a failure to queue the message must not fail the change of the password.
    transaction.on_commit(lambda: tasks.send_password_changed.delay(str(user.pk)), robust=True)


@receiver(post_save, sender=User)
def sync_primary_address(instance: User, *, update_fields: frozenset[str] | None, raw: bool, **_kwargs: Any) -> None:
    """Keep allauth's primary address equal to `User.email`."""
    if not raw and instance.deleted_at is None and (update_fields is None or "email" in update_fields):
        email_addresses.sync_primary(instance)


@receiver(superuser_created)
def mark_address_confirmed(user: User, **_kwargs: Any) -> None:
    """Mark the address of a new superuser as confirmed."""
    email_addresses.mark_confirmed(user)


@receiver(user_logged_in)
def remember_client(request: HttpRequest, **_kwargs: Any) -> None:
    """Store the address and the `User-Agent` of the browser in its session, for the list of logins."""
    request.session[CLIENT_KEY] = {
        "address": normalise_ip_address(address_of(request)),
        "user_agent": user_agent_of(request)[:200],
        "began_at": timezone.now().isoformat(),
    }


@receiver(email_changed)
def notify_old_address(user: User, from_email_address: EmailAddress | None, **_kwargs: Any) -> None:
    """Notify the previous address. allauth sends the signal for a first confirmation, too, which changes nothing."""
    if from_email_address is not None and from_email_address.primary:
        audit.record("email_changed", user, actor=user)
        _send_notice("email_changed", user, to=from_email_address.email)


@receiver(authenticator_added)
def record_second_factor_enabled(
    request: HttpRequest, user: User, authenticator: Authenticator, **_kwargs: Any
) -> None:
    """Revoke the other logins, which were made without the second factor, and record the event."""
    if authenticator.type == Authenticator.Type.TOTP:
        logins.revoke_all(user, except_session=request.session.session_key)
        audit.record("mfa_enabled", user, actor=user)
        _send_notice("mfa_enabled", user)


@receiver(authenticator_removed)
def record_second_factor_disabled(user: User, authenticator: Authenticator, **_kwargs: Any) -> None:
    if authenticator.type == Authenticator.Type.TOTP:
        audit.record("mfa_disabled", user, actor=user)
        _send_notice("mfa_disabled", user)


@receiver(authenticator_reset)
def record_new_recovery_codes(user: User, **_kwargs: Any) -> None:
    audit.record("mfa_recovery_codes_renewed", user, actor=user)
    _send_notice("mfa_recovery_codes", user)


def _send_notice(name: str, user: User, *, to: str = "") -> None:
    transaction.on_commit(lambda: tasks.send_notice.delay(name, str(user.pk), to), robust=True)
