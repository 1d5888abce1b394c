"""`manage.py verify_ledger` compares payments with the ledger."""

from decimal import Decimal

from billing import ledger
from billing.models import Payment, ReceiptCounter, SystemAccount, TransactionType
from billing.tests.support.commands import verify_ledger
from billing.tests.support.mock_provider import change_and_send, paid
from conftest import fund


def test_payments_that_were_credited_refunded_and_disputed_pass(alice, bob):
    change_and_send(paid(alice, "100", price="90"), refunded=Decimal(31))
    disputed = paid(bob, "10")
    ledger.move(bob, Decimal(-8), SystemAccount.ADJUSTMENTS, TransactionType.ADJUSTMENT, "a fee")
    change_and_send(disputed, "disputed", disputed=True)
    change_and_send(paid(bob, "7"), "refunded", refunded=Decimal(7))
    paid(alice)
    assert verify_ledger() == (0, ["The ledger is consistent."])


def test_a_payment_that_was_not_credited_as_it_says_is_named(alice, bob):
    payment, others = paid(alice, "10"), paid(bob, "10")
    Payment.objects.filter(pk=payment.pk).update(amount=Decimal(11))
    Payment.objects.filter(pk=others.pk).update(user=alice)
    code, lines = verify_ledger()
    assert code == 1
    assert sorted(lines) == sorted(
        f"payment {wrong.pk}: of {amount} ZNC does not match transaction {wrong.transaction_id}"
        for wrong, amount in ((payment, "11.00"), (others, "10.00"))
    )


def test_credits_that_were_taken_twice_or_not_at_all_are_named(alice, bob):
    payment = paid(alice, "10")
    Payment.objects.filter(pk=payment.pk).update(refunded_amount=Decimal(4))
    fund(bob, 5)
    ledger.move(bob, Decimal(-5), SystemAccount.DEPOSITS, TransactionType.ADJUSTMENT, "once too often")
    found = "ZNC for payments that record"
    expected = [
        f"wallet {alice.wallet.pk}: returned 0.00 {found} 4.00 ZNC as taken back",
        f"wallet {bob.wallet.pk}: returned 5.00 {found} 0.00 ZNC as taken back",
    ]
    assert verify_ledger() == (1, sorted(expected))


def test_a_gap_among_the_receipts_is_named(alice):
    payment = paid(alice)
    year = payment.receipt_year
    Payment.objects.update(receipt_serial=2)
    ReceiptCounter.objects.update(last=2)
    assert verify_ledger() == (1, [f"year {year}: 1 receipts up to number 2, but the counter shows 2"])
