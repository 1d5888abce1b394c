"""The refusals of the last week: who may see what of them, and their end."""

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from proxy.models import DenialRecord

KEPT = timedelta(days=7)


def find(request_id: str, user: User | None) -> DenialRecord | None:
    """The newest refusal with this id, the user's own first: who asks may choose an id, so it is no secret."""
    records = DenialRecord.objects.filter(request_id=request_id).select_related("token").defer("token__ciphertext")
    newest = records.order_by("-at", "-id")
    return (newest.filter(user=user).first() if user else None) or newest.first()


def of_user(user: User) -> QuerySet[DenialRecord]:
    """What the user's tokens were refused, newest first."""
    records = DenialRecord.objects.filter(user=user).select_related("token").defer("token__ciphertext")
    return records.order_by("-at", "-id")


def forget_old() -> int:
    """Delete what is older than a week; gives how many."""
    return DenialRecord.objects.filter(at__lt=timezone.now() - KEPT).delete()[0]
