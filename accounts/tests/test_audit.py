"""The audit trail: blocks with their actor and reason, in rows that the database protects."""

import pytest
from django.db import DatabaseError, connection, transaction

from access import outbox
from access.models import Revocation
from accounts import audit, jwt, services
from accounts.models import AuditEvent, RefreshFamily, User

pytestmark = pytest.mark.django_db


# case E65
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_auditevent SET reason = 'forged'",
        "UPDATE accounts_auditevent SET user_id = NULL",
        "DELETE FROM accounts_auditevent",
    ],
)
def test_the_database_rejects_changes_of_a_row(alice: User, statement: str) -> None:
    audit.record("test", alice, reason="why")

    rejected = pytest.raises(DatabaseError, match="never changed or deleted")
    with rejected, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert AuditEvent.objects.get().reason == "why"


# case E65
def test_changes_by_the_orm_are_rejected_too(alice: User) -> None:
    audit.record("test", alice)
    event = AuditEvent.objects.get()

    with pytest.raises(DatabaseError), transaction.atomic():
        event.delete()
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEvent.objects.update(kind="forged")

    assert AuditEvent.objects.get().kind == "test"


# case G73
def test_a_block_is_recorded_and_ends_everything(alice: User, olga: User) -> None:
    jwt.issue_pair(alice)
    before = alice.updated_at

    services.set_active(alice, False, actor=olga, reason="stolen card")

    event, revocation = AuditEvent.objects.get(), Revocation.objects.get()
    assert (event.kind, event.user, event.actor, event.reason) == ("user_blocked", alice, olga, "stolen card")
    assert (revocation.cause, revocation.user) == (Revocation.Cause.USER_BLOCKED, alice)
    assert RefreshFamily.objects.get().revoked_at is not None
    assert not alice.is_active
    stored = User.objects.get(pk=alice.pk)
    assert not stored.is_active
    assert stored.updated_at == alice.updated_at > before


def test_an_unblock_is_recorded_and_signalled(alice: User, olga: User) -> None:
    services.set_active(alice, False, actor=olga, reason="stolen card")

    services.set_active(alice, True, actor=olga, reason="a mistake")

    event, revocation = AuditEvent.objects.latest("id"), Revocation.objects.latest("id")
    assert (event.kind, event.actor, event.reason) == ("user_unblocked", olga, "a mistake")
    assert (revocation.cause, revocation.user) == (Revocation.Cause.CHANGED, alice)
    assert User.objects.get(pk=alice.pk).is_active


@pytest.mark.parametrize("active", [True, False])
def test_setting_the_same_state_again_does_nothing(alice: User, olga: User, active: bool) -> None:
    services.set_active(alice, not active, actor=olga)
    stale = User.objects.get(pk=alice.pk)
    services.set_active(alice, active, actor=olga)
    events = AuditEvent.objects.count()

    services.set_active(stale, active, actor=olga)

    assert stale.is_active is active
    assert AuditEvent.objects.count() == Revocation.objects.count() == events


def test_a_block_that_fails_leaves_nothing(alice: User, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    jwt.issue_pair(alice)
    monkeypatch.setattr(outbox, "write", lambda *_args, **_kwargs: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        services.set_active(alice, False, actor=olga)

    assert User.objects.get(pk=alice.pk).is_active
    assert not AuditEvent.objects.exists()
    assert not Revocation.objects.exists()
    assert RefreshFamily.objects.get().revoked_at is None
