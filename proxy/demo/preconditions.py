"""Entity tags and byte ranges (RFC 9110 §13 and §14)."""

import re

RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,20})-([0-9]{0,20})[ \t]*", re.IGNORECASE)


class RangeNotSatisfiableError(Exception):
    """The range lies outside of the content."""


def etag_matches(if_none_match: str, etag: str) -> bool:
    """Return whether If-None-Match names this entity tag (weak comparison, RFC 9110 §8.8.3.2)."""
    listed = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in listed or "*" in listed


def byte_range(header: str, size: int) -> range | None:
    """Return the positions that a Range header selects, or None if the header must be ignored.

    Raise RangeNotSatisfiableError if no position is selected.
    """
    matched = RANGE.fullmatch(header)
    if matched is None or size == 0 or matched.groups() == ("", ""):
        return None
    first, last = matched.groups()
    if not first:
        return _suffix(int(last), size)
    return _interval(int(first), int(last) if last else max(int(first), size - 1), size)


def _suffix(length: int, size: int) -> range:
    if length == 0:
        raise RangeNotSatisfiableError
    return range(max(0, size - length), size)


def _interval(first: int, last: int, size: int) -> range | None:
    if last < first:
        return None
    if first >= size:
        raise RangeNotSatisfiableError
    return range(first, min(last + 1, size))
