"""Amounts of money in the currencies of ISO 4217."""

from decimal import ROUND_HALF_UP, Decimal

# Currencies whose amounts are whole numbers. All other accepted currencies have two decimals.
NO_DECIMALS = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "MGA",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
# Not accepted.
MORE_THAN_TWO_DECIMALS = frozenset(["BHD", "CLF", "IQD", "JOD", "KWD", "LYD", "OMR", "TND", "UYW"])


def smallest_unit(currency: str) -> Decimal:
    """Return the smallest amount of a currency: 1 or 0.01."""
    return Decimal(1) if currency in NO_DECIMALS else Decimal("0.01")


def price_of(znc: Decimal, znc_price: Decimal, currency: str) -> Decimal:
    """Return the price of `znc` ZNC at `znc_price` each, rounded half up to the smallest unit of the currency."""
    return (znc * znc_price).quantize(smallest_unit(currency), ROUND_HALF_UP)


def format_amount(amount: Decimal, currency: str) -> str:
    """Return an amount for people to read, such as `25.50 EUR` or `300 JPY`."""
    return f"{amount.quantize(smallest_unit(currency))} {currency}"
