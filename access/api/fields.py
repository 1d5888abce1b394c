"""Serializer fields of access."""

from decimal import Decimal

from drf_spectacular.utils import extend_schema_field

from billing.api.amount_fields import BalanceField
from billing.fields import MAX_BALANCE
from zenzefi.common.hundredths import CENT


@extend_schema_field({"type": "number", "minimum": 0.01, "maximum": int(MAX_BALANCE), "multipleOf": 0.01})
class PriceField(BalanceField):
    """A price in ZNC, at least 0.01."""

    def bounds(self) -> tuple[Decimal, Decimal]:
        """Return the smallest and the largest price."""
        return CENT, MAX_BALANCE
