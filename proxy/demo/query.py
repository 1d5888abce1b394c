"""Query parameters, read with bounds."""

from collections.abc import Iterator, Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

Number = TypeVar("Number", int, float)


class QueryError(ValueError):
    """A parameter has a value its route cannot use; the message is meant for the caller."""


class Query(Mapping[str, str]):
    """The decoded query string; of a repeated parameter the last one counts."""

    def __init__(self, raw: bytes) -> None:
        self._values = dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True))

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def number(self, name: str, default: Number, low: Number, high: Number) -> Number:
        """A number of the default's type within low..high."""
        if name not in self:
            return default
        try:
            number = type(default)(self[name])
        except ValueError:
            number = None
        # A NaN fails the comparison as well.
        if number is None or not low <= number <= high:
            kind = "a whole number" if isinstance(default, int) else "a number"
            raise QueryError(f"{name} must be {kind} from {low} to {high}.")
        return number

    def flag(self, name: str) -> bool:
        """A switch given as 1 or 0; off when absent."""
        return self.number(name, 0, 0, 1) == 1
