"""Checks of payments for `verify_ledger`: each was credited to its user once, and refunds were taken back."""

from collections.abc import Iterator

from django.db.models import Count, Exists, F, Max, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from billing import verification
from billing.models import Entry, Payment, ReceiptCounter, SystemAccount, Transaction, TransactionType
from billing.verification import NOTHING, Discrepancy


@verification.register
def credited() -> Iterator[Discrepancy]:
    """Check that the transaction of each credited payment moved its amount into the wallet of its user."""
    moved = Entry.objects.filter(
        transaction=OuterRef("transaction"),
        transaction__type=TransactionType.DEPOSIT,
        account__user=OuterRef("user"),
        amount=OuterRef("amount"),
    )
    wrong = Payment.objects.filter(~Exists(moved), transaction__isnull=False).order_by("pk")
    for pk, amount, transaction in wrong.values_list("pk", "amount", "transaction").iterator():
        yield Discrepancy("payment", str(pk), f"of {amount} ZNC does not match transaction {transaction}")


@verification.register
def taken_back() -> Iterator[Discrepancy]:
    """Check that the credits taken back from each wallet match the payments of its user."""
    corrections = Transaction.objects.filter(
        type=TransactionType.ADJUSTMENT, entries__account__code=SystemAccount.DEPOSITS, reverses__isnull=True
    )
    payments = Payment.objects.filter(user=OuterRef("user")).order_by().values("user")
    sums = verification.wallets().annotate(
        moved=Coalesce(Sum("entries__amount", filter=Q(entries__transaction__in=corrections)), NOTHING),
        recorded=Coalesce(Subquery(payments.annotate(sum=Sum("refunded_amount")).values("sum")), NOTHING),
    )
    wrong = sums.exclude(moved=NOTHING - F("recorded")).values_list("pk", "moved", "recorded")
    for pk, moved, recorded in wrong.iterator():
        found = f"returned {-moved} ZNC for payments that record {recorded} ZNC as taken back"
        yield Discrepancy("wallet", str(pk), found)


@verification.register
def receipts() -> Iterator[Discrepancy]:
    """Check that the receipts of each year are numbered from 1 to the value of the counter."""
    numbered = Payment.objects.filter(receipt_year=OuterRef("year")).order_by().values("receipt_year")
    counters = ReceiptCounter.objects.order_by("year").annotate(
        size=Coalesce(Subquery(numbered.annotate(size=Count("pk")).values("size")), 0),
        highest=Coalesce(Subquery(numbered.annotate(highest=Max("receipt_serial")).values("highest")), 0),
    )
    for year, last, size, highest in counters.values_list("year", "last", "size", "highest"):
        if not last == size == highest:
            found = f"{size} receipts up to number {highest}, but the counter shows {last}"
            yield Discrepancy("year", str(year), found)
