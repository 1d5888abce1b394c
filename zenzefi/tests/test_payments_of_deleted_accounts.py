"""Money that arrives for a deleted account goes back to the payer, with an error for operators and a true page."""

import logging
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.core import mail
from django.test import Client

from accounts.models import AuditEvent, User
from billing import ledger, poller, topups
from billing.errors import ProviderRefused
from billing.idempotency import Call
from billing.models import MockCheckout, Payment, PaymentRefund, PaymentStatus
from billing.providers import mock
from billing.tests.support import provider_outages
from billing.tests.support.mock_provider import at_provider, create_pending_payment, send, set_status
from billing.verification import verify_all
from conftest import client_of, fund
from zenzefi.account_deletion import delete_account, preview

pytestmark = pytest.mark.django_db


@pytest.fixture
def payment(alice: User) -> Payment:
    """Return a payment with a checkout whose user has been deleted since."""
    payment = create_pending_payment(alice, "50.00")
    delete_account(alice, gives_up_credits=False)
    return payment


def page(payment: Payment) -> str:
    return Client().get(f"/billing/return/{payment.pk}").content.decode()


def by_webhook(payment: Payment) -> None:
    assert send(set_status(payment, "succeeded")).status_code == 200


def by_poller(payment: Payment) -> None:
    at_provider(payment, status=PaymentStatus.SUCCEEDED)
    Payment.objects.update(next_check_at=payment.created_at)
    poller.run()


@pytest.mark.parametrize("arrive", [by_webhook, by_poller])
def test_the_money_is_returned(
    alice: User, payment: Payment, arrive: Callable[[Payment], None], caplog: pytest.LogCaptureFixture
) -> None:
    assert "Do not pay any more" in page(payment)

    arrive(payment)

    payment.refresh_from_db()
    assert payment.status == PaymentStatus.SUCCEEDED
    assert "The money is being returned" in page(payment)
    assert [record.levelno for record in caplog.records if record.message == "payment_for_deleted_account"] == [
        logging.ERROR
    ]
    (refund,) = PaymentRefund.objects.all()
    assert (refund.amount, refund.actor, refund.status) == (Decimal("50.00"), None, "requested")
    assert AuditEvent.objects.filter(kind="payment_refund_requested", user=alice, actor=None).count() == 1
    assert list(verify_all()) == []

    poller.run()

    payment.refresh_from_db()
    refund.refresh_from_db()
    assert (payment.status, refund.status) == (PaymentStatus.REFUNDED, "done")
    assert MockCheckout.objects.get().refunded == Decimal("50.00")
    assert ledger.balance(alice) == 0
    assert "refunded" in page(payment)
    assert mail.outbox == []
    assert list(verify_all()) == []


def test_a_webhook_that_is_sent_again_refunds_once(alice: User, payment: Payment) -> None:
    for _again in range(3):
        by_webhook(payment)
        poller.run()

    assert PaymentRefund.objects.count() == 1
    assert MockCheckout.objects.get().refunded == Decimal("50.00")
    assert ledger.balance(alice) == 0


def test_a_refund_that_the_provider_declines_is_reported_every_night(
    payment: Payment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def decline(*_call: object) -> None:
        raise ProviderRefused("the card was closed")

    by_webhook(payment)
    monkeypatch.setattr(mock.MockProvider, "refund", decline)
    poller.run()

    assert "refund_for_deleted_account_refused" in [record.message for record in caplog.records]
    assert [discrepancy.detail for discrepancy in verify_all()] == ["holds 50.00 ZNC of a deleted account"]


@pytest.mark.parametrize("status", ["failed", "cancelled", "expired"])
def test_an_unpaid_payment_ends_as_ever(alice: User, payment: Payment, status: str) -> None:
    set_status(payment, status)
    Payment.objects.update(next_check_at=payment.created_at)
    poller.run()

    payment.refresh_from_db()
    assert payment.status == status
    assert (PaymentRefund.objects.count(), ledger.balance(alice)) == (0, 0)


def test_a_payment_without_a_checkout_ends_with_the_account(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    provider_outages.take_down(monkeypatch)
    with pytest.raises(Exception, match="not responding"):
        topups.create_payment(Call(alice, "pay", "key", None), Decimal(5))

    delete_account(alice, gives_up_credits=False)

    payment = Payment.objects.get()
    assert payment.status == PaymentStatus.EXPIRED
    monkeypatch.undo()
    poller.run()
    assert not MockCheckout.objects.exists()


@pytest.mark.parametrize(("payments", "words"), [(1, "1 payment that"), (2, "2 payments that")])
def test_the_page_names_open_payments(client: Client, alice: User, payments: int, words: str) -> None:
    for _ in range(payments):
        create_pending_payment(alice, "50.00")
    client.force_login(alice)

    text = client.get("/accounts/delete/").content.decode()

    assert f"{words} you have not finished ({50 * payments}.00\u00a0ZNC) will be abandoned." in text
    assert preview(alice).open_payments == [50] * payments


def test_a_blocked_users_payment_is_credited(alice: User, olga_api: object) -> None:
    payment = create_pending_payment(alice, "50.00")
    User.objects.filter(pk=alice.pk).update(is_active=False)

    by_webhook(payment)

    assert ledger.balance(alice) == 50
    assert not PaymentRefund.objects.exists()


def test_an_operator_cannot_credit_a_deleted_account(alice: User, olga: User) -> None:
    fund(alice, 1)
    delete_account(alice, gives_up_credits=True)

    response = client_of(olga).patch(f"/api/v1/admin/users/{alice.pk}", {"currency_balance": 5, "reason": "please"})

    assert response.status_code == 400
    assert response.json() == {"currency_balance": ["This account was deleted by its user."]}
    assert ledger.balance(alice) == 0
