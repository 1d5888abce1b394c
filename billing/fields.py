"""Money in the database: integer hundredths of a ZNC in a bigint, `Decimal` in Python, on every engine."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Combinable
from django.forms import DecimalField, Field
from django.utils.translation import gettext_lazy as _

CENT = Decimal("0.01")
MAX_BALANCE = Decimal(10**10)  # that an operator may set; far below what a bigint of hundredths holds
LARGEST = Decimal(models.BigIntegerField.MAX_BIGINT).scaleb(-2)

_Set = TypeVar("_Set", contravariant=True)
_Get = TypeVar("_Get", covariant=True)

if TYPE_CHECKING:

    class _BigInteger(models.Field[_Set, _Get]):
        """What django-stubs' plugin takes the types of a `MoneyField` from."""

        _pyi_private_set_type: Decimal | int | Combinable
        _pyi_private_get_type: Decimal
        _pyi_lookup_exact_type: Decimal | int
else:

    class _BigInteger(models.BigIntegerField):
        def __class_getitem__(cls, _types):
            return cls


class MoneyField(_BigInteger[_Set, _Get]):
    """A `Decimal` with at most two decimals, kept as integer hundredths.

    SQLite keeps decimal columns as floats, where 0.30 - 0.10 >= 0.20 is false; a bigint is exact everywhere.
    Raises `ValidationError` for floats, more than two decimals and what a bigint cannot hold.
    """

    description = _("An amount in ZNC")

    def from_db_value(self, value: int | None, _expression: Any, _connection: BaseDatabaseWrapper) -> Decimal | None:
        return None if value is None else Decimal(value).scaleb(-2)

    def to_python(self, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, bool | float) or not isinstance(value, Decimal | int | str):
            raise ValidationError(_("Money is a Decimal, never %(type)s."), params={"type": type(value).__name__})
        try:
            amount = Decimal(value)
            fits = amount.is_finite() and amount == amount.quantize(CENT) and abs(amount) <= LARGEST
        except ArithmeticError:
            fits = False
        if not fits:
            raise ValidationError(_("An amount has at most 16 digits before the point and two after it."))
        return amount

    def get_prep_value(self, value: Any) -> Any:
        if value is None or hasattr(value, "resolve_expression"):
            return value
        return int(self.to_python(value).scaleb(2))

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.value_from_object(obj))

    def formfield(self, **kwargs: Any) -> Field | None:
        return models.Field.formfield(self, **{"form_class": DecimalField, "decimal_places": 2, **kwargs})
