"""The door to the outbox of revocations (`access.models.Revocation`)."""

from django.db import transaction

from access.models import AccessToken, Revocation
from access.signals import access_revoked
from accounts.models import User


def write(cause: Revocation.Cause, *, token: AccessToken | None = None, user: User | None = None) -> None:
    """Tell the data plane about a token or a user: a row in the caller's transaction, a signal after it.

    The row is what counts: the data plane polls it each second. The signal only spares it the wait, so that a
    listener's failure is logged and does not reach whoever revokes.
    """
    Revocation.objects.create(cause=cause, token=token, user=user)
    transaction.on_commit(lambda: access_revoked.send_robust(sender=Revocation))
