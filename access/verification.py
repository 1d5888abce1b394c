"""What access knows of the money: tokens cost what was paid for them, and only their refunds came back."""

from collections.abc import Iterator
from decimal import Decimal

from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from access.models import AccessToken
from billing import verification
from billing.models import TransactionType
from billing.verification import NOTHING, Discrepancy


@verification.also
def sales() -> Iterator[Discrepancy]:
    """Each customer paid what her tokens cost, and got back no more than the revoked ones did."""
    tokens = AccessToken.objects.filter(user=OuterRef("user")).order_by()
    sums = verification.wallets().annotate(
        paid=verification.paid(),
        given_back=verification.moved(TransactionType.REFUND),
        sold=_cost(tokens),
        revoked=_cost(tokens.filter(revoked_at__isnull=False)),
    )
    wrong = sums.filter(~Q(paid=F("sold")) | Q(given_back__gt=F("revoked")))
    for pk, *amounts in wrong.values_list("pk", "paid", "sold", "given_back", "revoked").iterator():
        yield Discrepancy("wallet", str(pk), _told(*amounts))


def _cost(tokens: QuerySet[AccessToken]) -> Coalesce:
    return Coalesce(Subquery(tokens.values("user").annotate(sum=Sum("cost")).values("sum")), NOTHING)


def _told(paid: Decimal, sold: Decimal, given_back: Decimal, revoked: Decimal) -> str:
    if paid != sold:
        return f"paid {paid} ZNC for access tokens that cost {sold} ZNC"
    return f"was refunded {given_back} ZNC for revoked access tokens that cost {revoked} ZNC"
