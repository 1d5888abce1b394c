"""Revocation, freeze and first use of a token, and the outbox rows for the data plane."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from access import selectors, services
from access.errors import TokenNotActive, TokenNotFound
from access.models import Revocation
from access.signals import access_revoked
from access.tests.support.tokens import Buy, age, causes
from accounts.models import AuditEvent, User
from accounts.services import set_active
from billing import ledger
from zenzefi.common.tests.support.bad_input import UNKNOWN_ID


def test_by_force_without_a_refund(alice: User, olga: User, buy: Buy) -> None:
    token = buy(alice)

    services.revoke_by_force(token.pk, actor=olga, reason="stolen")

    token.refresh_from_db()
    assert token.revoked_at is not None
    assert causes(token) == ["revoked"]
    assert ledger.balance(alice) == 0
    event = AuditEvent.objects.get(kind="access_token_revoked")
    assert (event.user, event.actor, event.reason) == (alice, olga, "stolen")
    assert event.details == {"token_id": str(token.pk)}


def test_by_force_once_only(alice: User, olga: User, buy: Buy) -> None:
    token = buy(alice)
    services.revoke_by_force(token.pk, actor=olga, reason="stolen")

    with pytest.raises(TokenNotActive):
        services.revoke_by_force(token.pk, actor=olga, reason="again")

    assert causes(token) == ["revoked"]
    assert AuditEvent.objects.filter(kind="access_token_revoked").count() == 1


def test_freeze_and_unfreeze(alice: User, olga: User, buy: Buy) -> None:
    token = buy(alice)

    services.freeze(token.pk, actor=olga, reason="dispute")
    frozen = selectors.grant_facts(token.digest)
    with pytest.raises(TokenNotActive):
        services.freeze(token.pk, actor=olga, reason="twice")
    services.unfreeze(token.pk, actor=olga, reason="settled")
    with pytest.raises(TokenNotActive):
        services.unfreeze(token.pk, actor=olga, reason="twice")

    assert frozen is not None
    assert frozen.frozen
    token.refresh_from_db()
    assert token.frozen_at is None
    assert causes(token) == ["frozen", "changed"]
    events = AuditEvent.objects.filter(user=alice, actor=olga).order_by("id").values_list("kind", "reason")
    assert list(events) == [("access_token_frozen", "dispute"), ("access_token_unfrozen", "settled")]


@pytest.mark.parametrize("decision", [services.revoke_by_force, services.freeze, services.unfreeze])
def test_unknown(olga: User, decision: Any) -> None:
    with pytest.raises(TokenNotFound):
        decision(UNKNOWN_ID, actor=olga, reason="test")

    assert not AuditEvent.objects.exists()


def test_the_first_use_is_noted_once(alice: User, buy: Buy) -> None:
    token, now = buy(alice), timezone.now()

    assert services.activate(token.pk, now)
    assert services.activate(token.pk, now + timedelta(minutes=5))

    token.refresh_from_db()
    assert token.activated_at == now


@pytest.mark.parametrize("state", ["expired", "revoked", "frozen", "unknown"])
@pytest.mark.parametrize("used_before", [True, False])
def test_a_dead_token_is_not_used(alice: User, olga: User, buy: Buy, state: str, used_before: bool) -> None:
    token, now = buy(alice), timezone.now()
    if used_before:
        assert services.activate(token.pk, now)
    if state == "expired":
        age(token, timedelta(hours=24), used_for=timedelta(hours=-1) if used_before else None)
    elif state == "revoked":
        services.revoke_by_force(token.pk, actor=olga, reason="test")
    elif state == "frozen":
        services.freeze(token.pk, actor=olga, reason="test")
    token.refresh_from_db()
    before = token.activated_at

    assert not services.activate(UNKNOWN_ID if state == "unknown" else token.pk, timezone.now())

    token.refresh_from_db()
    assert token.activated_at == before


def test_what_the_data_plane_reads(alice: User, buy: Buy, django_assert_num_queries: Any) -> None:
    token = buy(alice, scope="certificates_only")

    with django_assert_num_queries(1):
        facts = selectors.grant_facts(token.digest)

    assert facts == selectors.GrantFacts(
        token_id=token.pk,
        user_id=alice.pk,
        scope="certificates_only",
        expires_at=token.expires_at,
        activated=False,
        revoked=False,
        frozen=False,
        user_active=True,
    )
    assert selectors.grant_facts("0" * 64) is None


def test_the_outbox_is_read_in_order(alice: User, bob: User, olga: User, buy: Buy) -> None:
    token, old = buy(alice), buy(alice)
    services.revoke_by_force(old.pk, actor=olga, reason="test")
    Revocation.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    before = timezone.now() - timedelta(minutes=1)
    (newest,) = selectors.settled_revocations(before, before)
    services.freeze(token.pk, actor=olga, reason="test")
    set_active(bob, False, actor=olga, reason="test")
    set_active(bob, True, actor=olga, reason="test")

    notices = selectors.revocations_since(newest, [])

    assert [(notice.cause, notice.token_id, notice.user_id) for notice in notices] == [
        ("frozen", token.pk, None),
        ("user_blocked", None, bob.pk),
        ("changed", None, bob.pk),
    ]
    assert [notice.id for notice in notices] == sorted(notice.id for notice in notices)
    assert newest == Revocation.objects.get(token=old).pk
    gap = selectors.revocations_since(notices[-1].id, [range(newest - 5, newest + 1)])
    assert [notice.token_id for notice in gap] == [old.pk]
    facts = selectors.grant_facts(old.digest)
    assert facts is not None
    assert facts.revoked


def test_the_ids_that_were_settled(alice: User, buy: Buy) -> None:
    now = timezone.now()
    assert selectors.settled_revocations(now, now) == [0]
    rows = [Revocation.objects.create(cause=Revocation.Cause.CHANGED, token=buy(alice)) for _ in range(5)]
    for minutes, row in zip((50, 40, 30, 20, 10), rows, strict=True):
        Revocation.objects.filter(pk=row.pk).update(created_at=now - timedelta(minutes=minutes))
    rows[2].delete()
    ids = [row.pk for row in Revocation.objects.order_by("id")]
    assert selectors.settled_revocations(now - timedelta(minutes=35), now - timedelta(minutes=15)) == ids[1:3]
    assert selectors.settled_revocations(now - timedelta(minutes=60), now) == [0, *ids]


def test_the_signal_comes_after_the_commit(
    alice: User, olga: User, buy: Buy, django_capture_on_commit_callbacks: object
) -> None:
    token, received = buy(alice), []

    def hear(**_kwargs: Any) -> None:
        received.append(causes(token))

    access_revoked.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            services.revoke_by_force(token.pk, actor=olga, reason="test")
            assert received == []
    finally:
        access_revoked.disconnect(hear)

    assert received == [["revoked"]]
