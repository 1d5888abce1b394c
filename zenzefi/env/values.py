"""Settings that are words, numbers, amounts, rates and keys."""

import re
from decimal import Decimal, InvalidOperation

import limits
from babel.numbers import is_currency
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from zenzefi.common.currencies import MORE_THAN_TWO_DECIMALS
from zenzefi.env.reading import MAKE_FERNET_KEY, collecting, raw_text, raw_words, wrong, wrong_secret

_TRUE = {"1", "true", "yes", "on"}

_FALSE = {"0", "false", "no", "off"}


@collecting
def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """Return one of the allowed values."""
    value = raw_text(name, default)
    if value not in allowed:
        raise wrong(name, value, " or ".join(allowed))
    return value


@collecting
def boolean(name: str, *, default: bool) -> bool:
    """Return a truth value, such as `true` or `off`."""
    value = raw_text(name).lower()
    if not value:
        return default
    if value not in _TRUE | _FALSE:
        raise wrong(name, value, "true or false")
    return value in _TRUE


@collecting
def integer(name: str, default: int, *, low: int, high: int) -> int:
    """Return a whole number from `low` to `high`."""
    value = raw_text(name) or str(default)
    try:
        number = int(value)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise wrong(name, value, f"a whole number from {low} to {high}")
    return number


@collecting
def seconds(name: str, default: float, *, high: float = 86_400) -> float:
    """Return a duration in seconds, above zero."""
    value = raw_text(name) or str(default)
    try:
        number = float(value)
    except ValueError:
        number = 0
    if not 0 < number <= high:
        raise wrong(name, value, f"a number of seconds above 0 and up to {high:g}")
    return number


@collecting
def money(name: str, default: str) -> Decimal:
    """Return an amount in ZNC, above zero, with at most two decimals."""
    value = raw_text(name) or default
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal(0)
    # At most ten billion ZNC, far below the maximum of a bigint of hundredths.
    if not amount.is_finite() or not 0 < amount <= 10**10 or amount != amount.quantize(Decimal("0.01")):
        raise wrong(name, value, "an amount in ZNC above 0 with at most two decimals, such as 18 or 0.50")
    return amount


@collecting
def price(name: str, default: str) -> Decimal:
    """Return a price per unit in some currency, above zero, with at most six decimals."""
    value = raw_text(name) or default
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or not 0 < amount <= 10**6 or amount != amount.quantize(Decimal("0.000001")):
        raise wrong(name, value, "a price above 0 with at most six decimals, such as 1 or 0.95")
    return amount


@collecting
def currency(name: str, default: str) -> str:
    """Return the ISO 4217 code of a currency with at most two decimals."""
    value = raw_text(name) or default
    if not is_currency(value) or value in MORE_THAN_TWO_DECIMALS:
        raise wrong(name, value, "the ISO 4217 code of a currency with at most two decimals, such as EUR or RUB")
    return value


@collecting
def providers(name: str, default: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of payment providers, each once; possibly none."""
    given = raw_words(name, default)
    if not set(given) <= set(allowed) or len(set(given)) < len(given):
        raise wrong(name, raw_text(name), f"empty, or some of {', '.join(allowed)}, each once, separated by commas")
    return tuple(given)


@collecting
def secret(name: str, form: str, expected: str) -> str:
    """Return a secret that matches the pattern `form`, or an empty text. The error does not show the value."""
    value = raw_text(name)
    if value and not re.fullmatch(form, value):
        raise wrong_secret(name, expected)
    return value


@collecting
def secret_words(name: str, form: str, expected: str) -> list[str]:
    """Return the secrets of a comma-separated list, which all match the pattern `form`. The error shows no value."""
    given = raw_words(name)
    if not all(re.fullmatch(form, word) for word in given):
        raise wrong_secret(name, f"{expected}; several are separated by commas")
    return given


@collecting
def rate(name: str, default: str) -> str:
    """Return a rate such as `5/hour`; an empty value switches the limit off."""
    value = raw_text(name, default)
    if value:
        try:
            limits.parse(value)
        except ValueError as error:
            raise wrong(name, value, "a rate such as 5/hour or 100/minute, or empty for no limit") from error
    return value


@collecting
def fernet_keys(name: str) -> list[str]:
    """Return the Fernet keys of a comma-separated list. The error does not show them."""
    keys = raw_words(name)
    for key in keys:
        try:
            Fernet(key)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} contains an invalid key: it must be 32 bytes in URL-safe base64. {MAKE_FERNET_KEY}"
            ) from error
    return keys
