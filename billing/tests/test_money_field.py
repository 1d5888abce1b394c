"""The model field for money: exact hundredths in the database."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from access.models import Tariff
from billing.fields import MoneyField
from billing.models import Account
from zenzefi.common.hundredths import LARGEST


@pytest.mark.parametrize(
    ("amount", "kept"),
    [
        (Decimal("0.01"), 1),
        (Decimal("18"), 1800),
        (Decimal("18.50"), 1850),
        (Decimal("-0.30"), -30),
        (Decimal("1E+2"), 10_000),
        (7, 700),
        ("2.5", 250),
        (LARGEST, 2**63 - 1),
        (None, None),
    ],
)
def test_amounts_are_kept_as_hundredths(amount, kept):
    assert MoneyField().get_prep_value(amount) == kept


@pytest.mark.parametrize(
    "amount",
    [
        0.1,
        1.0,
        True,
        b"1",
        "abc",
        "",
        Decimal("0.001"),
        Decimal("NaN"),
        Decimal("Infinity"),
        LARGEST + Decimal("0.01"),
        10**19,
        Decimal("1e400"),
    ],
)
def test_what_is_no_amount_never_reaches_the_database(amount):
    # case A14
    with pytest.raises(ValidationError):
        MoneyField().get_prep_value(amount)


@pytest.mark.parametrize("amount", ["0.30", "0.07", "90071992547409.93", "-1234.56"])
def test_the_database_returns_the_stored_amount(db, amount):
    # case A14: the third has more digits than a float
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [MoneyField().get_prep_value(Decimal(amount))])
        (kept,) = cursor.fetchone()
    assert MoneyField().from_db_value(int(kept), None, connection) == Decimal(amount)


def test_the_column_is_a_bigint_on_every_engine(db):
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, Account._meta.db_table)
    kinds = {column.name: connection.introspection.get_field_type(column.type_code, column) for column in columns}
    assert kinds["balance"] == "BigIntegerField"


def test_forms_take_two_decimals():
    field = Tariff._meta.get_field("price").formfield()
    assert field.clean("18.50") == Decimal("18.50")
    with pytest.raises(ValidationError):
        field.clean("18.505")
