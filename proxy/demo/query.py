"""Numbers in query strings."""

from collections.abc import Mapping
from typing import TypeVar

from starlette.exceptions import HTTPException

Number = TypeVar("Number", int, float)


def query_number(query: Mapping[str, str], name: str, default: Number, low: Number, high: Number) -> Number:
    """Return a parameter as a number of the default's type.

    Raise HTTPException with status 400 if it is not a number from `low` to `high`.
    """
    if name not in query:
        return default
    try:
        number = type(default)(query[name])
    except ValueError:
        number = None
    # A NaN fails the comparison as well.
    if number is None or not low <= number <= high:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise HTTPException(400, f"{name} must be {kind} from {low} to {high}.")
    return number
