"""What a currency's amounts may look like (ISO 4217)."""

from decimal import ROUND_HALF_UP, Decimal

# Currencies without a minor unit in use; all others that are accepted have hundredths.
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
# More than two decimals: not accepted.
MORE_THAN_TWO_DECIMALS = frozenset(["BHD", "CLF", "IQD", "JOD", "KWD", "LYD", "OMR", "TND", "UYW"])


def smallest_unit(currency: str) -> Decimal:
    """The smallest amount of a currency: 1 or 0.01."""
    return Decimal(1) if currency in NO_DECIMALS else Decimal("0.01")


def price_of(znc: Decimal, znc_price: Decimal, currency: str) -> Decimal:
    """What `znc` ZNC cost at `znc_price` each, half-up to the currency's smallest unit: zero below half of it."""
    return (znc * znc_price).quantize(smallest_unit(currency), ROUND_HALF_UP)


def format_amount(amount: Decimal, currency: str) -> str:
    """An amount as people read it, such as `25.50 EUR` or `300 JPY`."""
    return f"{amount.quantize(smallest_unit(currency))} {currency}"
