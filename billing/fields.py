"""Amounts of ZNC in models."""

from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from zenzefi.common.hundredths import GetType, HundredthsField, SetType

MAX_BALANCE = Decimal(10**10)  # the highest that an operator may set; far below the limit of the column


class MoneyField(HundredthsField[SetType, GetType]):
    """An amount of ZNC with at most two decimals."""

    description = _("An amount in ZNC")
