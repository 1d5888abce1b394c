"""The check that `verify_ledger` adds for tokens: their costs and refunds match the ledger."""

from collections.abc import Iterator
from decimal import Decimal

from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from access.models import AccessToken
from billing import verification
from billing.models import TransactionType
from billing.verification import NOTHING, Discrepancy


@verification.register
def sales() -> Iterator[Discrepancy]:
    """Report wallets that did not pay the cost of their tokens, or got back more than their revoked tokens cost."""
    tokens = AccessToken.objects.filter(user=OuterRef("user")).order_by()
    sums = verification.wallets().annotate(
        paid=verification.paid(),
        refunded=verification.moved(TransactionType.REFUND),
        sold=_cost(tokens),
        revoked=_cost(tokens.filter(revoked_at__isnull=False)),
    )
    wrong = sums.filter(~Q(paid=F("sold")) | Q(refunded__gt=F("revoked")))
    for pk, *amounts in wrong.values_list("pk", "paid", "sold", "refunded", "revoked").iterator():
        yield Discrepancy("wallet", str(pk), _describe(*amounts))


def _cost(tokens: QuerySet[AccessToken]) -> Coalesce:
    return Coalesce(Subquery(tokens.values("user").annotate(sum=Sum("cost")).values("sum")), NOTHING)


def _describe(paid: Decimal, sold: Decimal, refunded: Decimal, revoked: Decimal) -> str:
    if paid != sold:
        return f"paid {paid} ZNC for access tokens that cost {sold} ZNC"
    return f"was refunded {refunded} ZNC for revoked access tokens that cost {revoked} ZNC"
