"""Statements as CSV (RFC 4180), for spreadsheets and bookkeeping."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import IO

from billing.statements import Statement
from zenzefi.common.download import Download
from zenzefi.common.iso_times import iso_time

_COLUMNS = ["created_at", "id", "transaction_type", "description", "amount", "balance_after"]
# Spreadsheets take a cell that begins with one of these, even after spaces, for a formula (OWASP, CSV injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_response(statement: Statement) -> Download:
    """Return the statement as a file, written completely before it is sent.

    So a slow client does not keep the database snapshot open.
    """
    last_day = statement.end - timedelta(microseconds=1)
    return Download(
        partial(_write, statement),
        filename=f"zenzefi-statement-{statement.start:%Y-%m-%d}-{last_day:%Y-%m-%d}.csv",
        content_type="text/csv; charset=utf-8",
    )


def _write(statement: Statement, file: IO[bytes]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    csv.writer(text).writerows(_rows(statement))
    text.detach()


def _rows(statement: Statement) -> Iterator[list[str]]:
    """Yield the opening balance, the movements, the totals and the closing balance.

    A file without the last row is incomplete.
    """
    yield _COLUMNS
    start, end = iso_time(statement.start), iso_time(statement.end)
    yield [start, "", "opening_balance", "", "", _number(statement.opening_balance)]
    for line in statement.lines():
        moved = [_number(line.amount), _number(line.balance_after)]
        text = _escape_formula(line.description)
        yield [iso_time(line.created_at), str(line.id), line.transaction_type, text, *moved]
    yield [end, "", "total_in", "", _number(statement.total_in), ""]
    yield [end, "", "total_out", "", _number(-statement.total_out), ""]
    yield [end, "", "closing_balance", "", "", _number(statement.closing_balance)]


def _number(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _escape_formula(text: str) -> str:
    """Return text that a spreadsheet displays and does not evaluate."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text
