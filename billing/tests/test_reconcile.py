"""`manage.py reconcile` compares payments with the provider's books."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.core.management import CommandError

from billing.models import Payment
from billing.tests.support import provider_outages
from billing.tests.support.commands import run_command
from billing.tests.support.mock_provider import at_provider, create_pending_payment, paid


def run(first="2026-11-01", last="2026-11-30"):
    return run_command("reconcile", "--from", first, "--to", last)


def on(payment, *day):
    Payment.objects.filter(pk=payment.pk).update(created_at=datetime(*day, tzinfo=UTC))
    return payment


@pytest.fixture
def november(alice):
    """Return a paid and an unpaid payment whose provider agrees."""
    return on(paid(alice), 2026, 11, 1), on(create_pending_payment(alice), 2026, 11, 30, 23, 59, 59)


def test_what_agrees(november):
    assert run() == (0, ["All payments agree with their providers."])


def test_each_difference_is_named_in_a_table(november):
    credited, pending = november
    at_provider(credited, status="failed")
    at_provider(pending, status="succeeded", amount=Decimal("25.51"))
    code, lines = run()
    assert code == 1
    assert lines[0].split() == ["payment", "provider", "amount", "status", "found"]
    rows = [line.split(maxsplit=6) for line in lines[1:]]
    assert rows == [
        [
            str(credited.pk),
            "mock",
            credited.provider_id,
            "25.50",
            "EUR",
            "succeeded",
            "credited but not paid: failed",
        ],
        [str(pending.pk), "mock", pending.provider_id, "25.50", "EUR", "pending", "paid but not credited"],
        [
            str(pending.pk),
            "mock",
            pending.provider_id,
            "25.50",
            "EUR",
            "pending",
            "amounts differ: 25.51 EUR at the provider",
        ],
    ]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"refunded": Decimal(5)}, "refunds differ: 5.00 at the provider, 0.00 here"),
        ({"disputed": True}, "disputed at the provider, not here"),
        ({"currency": "USD"}, "amounts differ: 25.50 USD at the provider"),
    ],
)
def test_refunds_disputes_and_currencies(november, changes, found):
    at_provider(november[0], **changes)
    code, lines = run()
    assert (code, len(lines)) == (1, 2)
    assert lines[1].endswith(found)


def test_a_provider_that_does_not_response_is_a_difference(november, monkeypatch):
    provider_outages.take_down(monkeypatch, "fetch")
    code, lines = run()
    assert (code, len(lines)) == (1, 3)
    assert lines[1].endswith("the provider could not be queried: no response")


def test_both_days_are_included_and_no_more(november):
    at_provider(november[0], status="failed")
    assert run("2026-11-01", "2026-11-01")[0] == 1
    assert run("2026-11-02", "2026-12-31")[0] == 0
    assert run("2026-01-01", "2026-10-31")[0] == 0
    at_provider(november[1], status="succeeded")
    assert run("2026-11-30", "2026-11-30")[0] == 1


def test_it_changes_nothing(november):
    before = list(Payment.objects.order_by("pk").values())
    at_provider(november[0], status="failed")
    run()
    assert list(Payment.objects.order_by("pk").values()) == before


@pytest.mark.parametrize(("first", "last"), [("2026-11-02", "2026-11-01"), ("yesterday", "today")])
def test_bad_days_are_rejected(db, first, last):
    with pytest.raises(CommandError):
        run(first, last)
