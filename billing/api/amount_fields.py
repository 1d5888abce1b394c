"""Serializer fields for amounts of money: exact JSON numbers, never text."""

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.fields import MAX_BALANCE
from zenzefi.common.hundredths import CENT

_Base = serializers.Field[Decimal, Any, Any, Decimal]


@extend_schema_field({"type": "number", "multipleOf": 0.01, "example": 18.0})
class MoneyNumberField(_Base):
    """An amount or a balance in a response."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: Decimal) -> Decimal:
        return value.quantize(CENT)


class _ExactNumber(_Base, ABC):
    """A JSON number within bounds, with at most two decimals. Any other type is an error."""

    default_error_messages = {
        "not_a_number": _("A JSON number is expected, such as 18 or 18.50."),
        "bounds": _("The number must be from {lowest} to {highest}."),
        "decimals": _("At most two decimals are allowed."),
    }

    @abstractmethod
    def bounds(self) -> tuple[Decimal, Decimal]:
        """Return the lowest and the highest number accepted, in ZNC."""

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, int | Decimal):
            self.fail("not_a_number")
        amount = Decimal(data)
        lowest, highest = self.bounds()
        if not lowest <= amount <= highest:
            self.fail("bounds", lowest=lowest, highest=highest)
        if amount != amount.quantize(CENT):
            self.fail("decimals")
        return amount.quantize(CENT)


@extend_schema_field(
    {
        "type": "number",
        "minimum": 0.01,
        "maximum": int(settings.MAX_DEPOSIT),
        "multipleOf": 0.01,
        "example": 50,
    }
)
class AmountField(_ExactNumber):
    """An amount to top up: above zero, at most `MAX_DEPOSIT`."""

    def bounds(self) -> tuple[Decimal, Decimal]:
        return CENT, settings.MAX_DEPOSIT


@extend_schema_field({"type": "number", "minimum": 0, "maximum": int(MAX_BALANCE), "multipleOf": 0.01})
class BalanceField(_ExactNumber):
    """A balance to set: zero or more."""

    def bounds(self) -> tuple[Decimal, Decimal]:
        return Decimal(0), MAX_BALANCE
