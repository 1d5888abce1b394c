"""Decimals stored as integer hundredths in a bigint, exact on every database engine."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Combinable
from django.forms import DecimalField, Field
from django.utils.translation import gettext_lazy as _

ZERO = Decimal("0.00")
CENT = Decimal("0.01")
LARGEST = Decimal(models.BigIntegerField.MAX_BIGINT).scaleb(-2)

SetType = TypeVar("SetType", contravariant=True)
GetType = TypeVar("GetType", covariant=True)

if TYPE_CHECKING:

    class _BigInteger(models.Field[SetType, GetType]):
        """The types that the plugin of django-stubs reads for the field."""

        _pyi_private_set_type: Decimal | int | Combinable
        _pyi_private_get_type: Decimal
        _pyi_lookup_exact_type: Decimal | int
else:

    class _BigInteger(models.BigIntegerField):
        def __class_getitem__(cls, _types):
            return cls


class HundredthsField(_BigInteger[SetType, GetType]):
    """A `Decimal` with at most two decimals, stored as integer hundredths.

    SQLite stores decimal columns as floats, in which 0.30 - 0.10 >= 0.20 is false; a bigint is exact everywhere.
    Raises `ValidationError` for a float, for more than two decimals and for a value that a bigint cannot hold.
    """

    def from_db_value(self, value: int | None, _expression: Any, _connection: BaseDatabaseWrapper) -> Decimal | None:
        """Return the `Decimal` of a stored number of hundredths."""
        return None if value is None else Decimal(value).scaleb(-2)

    def to_python(self, value: Any) -> Any:
        """Return `value` as a `Decimal`."""
        if value is None:
            return None
        if isinstance(value, bool | float) or not isinstance(value, Decimal | int | str):
            raise ValidationError(_("Use a Decimal, not %(type)s."), params={"type": type(value).__name__})
        try:
            amount = Decimal(value)
            fits = amount.is_finite() and amount == amount.quantize(CENT) and abs(amount) <= LARGEST
        except ArithmeticError:
            fits = False
        if not fits:
            raise ValidationError(_("Use at most 16 digits before the decimal point and 2 after it."))
        return amount

    def get_prep_value(self, value: Any) -> Any:
        """Return the number of hundredths to store."""
        if value is None or hasattr(value, "resolve_expression"):
            return value
        return int(self.to_python(value).scaleb(2))

    def value_to_string(self, obj: models.Model) -> str:
        """Return the value of `obj` for a serializer, in units rather than hundredths."""
        return str(self.value_from_object(obj))

    def formfield(self, **kwargs: Any) -> Field | None:
        """Return a form field for a decimal; that of a bigint would accept only whole numbers."""
        return models.Field.formfield(self, **{"form_class": DecimalField, "decimal_places": 2, **kwargs})
