"""Fields of this app's API bodies."""

from decimal import Decimal

from drf_spectacular.utils import extend_schema_field

from billing.api.fields import BalanceField
from billing.fields import CENT, MAX_BALANCE


@extend_schema_field({"type": "number", "minimum": 0.01, "maximum": int(MAX_BALANCE), "multipleOf": 0.01})
class Price(BalanceField):
    def bounds(self) -> tuple[Decimal, Decimal]:
        return CENT, MAX_BALANCE
