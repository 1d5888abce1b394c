"""The scheduled jobs."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from access import services, tasks
from access.models import AccessToken, Revocation
from access.tests.support.tokens import Buy, age, causes
from accounts.models import User


def test_expired_tokens_are_noted_once(alice: User, buy: Buy) -> None:
    active, expired = buy(alice), buy(alice)
    age(expired, timedelta(hours=24))

    assert [tasks.expire_tokens(), tasks.expire_tokens()] == [1, 0]

    assert list(AccessToken.objects.filter(expiry_seen=True)) == [expired]
    active.refresh_from_db()
    assert not active.expiry_seen


# case G84
def test_old_revocations_are_forgotten(alice: User, olga: User, buy: Buy) -> None:
    old, young = buy(alice), buy(alice)
    for token in (old, young):
        services.revoke_by_force(token.pk, actor=olga, reason="test")
    Revocation.objects.filter(token=old).update(created_at=timezone.now() - timedelta(days=7, seconds=1))
    Revocation.objects.filter(token=young).update(created_at=timezone.now() - timedelta(days=6, hours=23))

    assert [tasks.forget_revocations(), tasks.forget_revocations()] == [1, 0]

    assert (causes(old), causes(young)) == ([], ["revoked"])


def test_the_schedule_names_them() -> None:
    scheduled = {job["task"] for job in settings.CELERY_BEAT_SCHEDULE.values()}

    assert {tasks.expire_tokens.name, tasks.forget_revocations.name} <= scheduled
