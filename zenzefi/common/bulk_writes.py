"""Bulk statements that survive rows which the database rejects."""

import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import DataError, IntegrityError

logger = logging.getLogger(__name__)

Row = TypeVar("Row")


def write_or_drop(write: Callable[[list[Row]], object], rows: list[Row], name: Callable[[Row], str]) -> None:
    """Write rows in bulk; if the database rejects one of them, write each alone and drop those that it rejects.

    A dropped row is logged by its name. A retry could not succeed: the object that the row refers to was deleted.
    """
    try:
        write(rows)
    except (IntegrityError, DataError):
        for row in rows:
            _write_or_drop_one(write, row, name)


def _write_or_drop_one(write: Callable[[list[Row]], object], row: Row, name: Callable[[Row], str]) -> None:
    try:
        write([row])
    except (IntegrityError, DataError) as error:
        logger.warning("row_dropped", extra={"row": name(row), "error": str(error)})
