"""Serializer fields that accept only the JSON type of the schema, without DRF's conversions."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers


class Text(serializers.CharField):
    """A JSON string. DRF's own field also accepts numbers."""

    def to_internal_value(self, data: Any) -> str:
        """Return the string; a value of another type is invalid."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class WholeNumber(serializers.IntegerField):
    """A JSON number without a fraction. DRF's own field also accepts strings."""

    def to_internal_value(self, data: Any) -> int:
        """Return the number; a value of another type is invalid."""
        if isinstance(data, bool) or not isinstance(data, int | Decimal):
            self.fail("invalid")
        return super().to_internal_value(str(data))


class Flag(serializers.BooleanField):
    """A JSON `true` or `false`. DRF's own field also accepts strings and numbers."""

    def to_internal_value(self, data: Any) -> bool:
        """Return the boolean; a value of another type is invalid."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class QueryFlag(serializers.BooleanField):
    """`true` or `false` in a query string."""

    TRUE_VALUES = {"true"}
    FALSE_VALUES = {"false"}
