"""Input fields that take exactly what the schema says; DRF's own also take `"1"` for 1 and for true."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.api.fields import BalanceField
from billing.fields import CENT, MAX_BALANCE


class WholeNumber(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | Decimal):
            self.fail("invalid")
        return super().to_internal_value(str(data))


class Flag(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class QueryFlag(serializers.BooleanField):
    """`true` or `false` in a query string."""

    TRUE_VALUES = {"true"}
    FALSE_VALUES = {"false"}


@extend_schema_field({"type": "number", "minimum": 0.01, "maximum": int(MAX_BALANCE), "multipleOf": 0.01})
class Price(BalanceField):
    def bounds(self) -> tuple[Decimal, Decimal]:
        return CENT, MAX_BALANCE
