"""The outbox of revocations (`access.models.Revocation`), which the data plane reads."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from access.models import AccessToken, Revocation
from access.signals import access_revoked
from accounts.models import User

KEPT_FOR = timedelta(days=7)


def write(cause: Revocation.Cause, *, token: AccessToken | None = None, user: User | None = None) -> None:
    """Notify the data plane about a token or a user: add a row in the caller's transaction, send a signal after it.

    The data plane polls the rows every second, so it misses none. The signal only shortens the delay; if a receiver
    fails, the failure is logged and the caller does not see it.
    """
    Revocation.objects.create(cause=cause, token=token, user=user)
    transaction.on_commit(lambda: access_revoked.send_robust(sender=Revocation))


def delete_old_rows() -> int:
    """Delete the rows older than `KEPT_FOR`; return their number."""
    count, _per_model = Revocation.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
    return count
