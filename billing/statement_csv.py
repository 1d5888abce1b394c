"""A statement as CSV (RFC 4180), for spreadsheets and bookkeeping."""

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
# A cell that begins so, also after spaces, is a formula for spreadsheets (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_response(statement: Statement) -> Download:
    """The statement's file: what a slow client reads holds up no snapshot of the database."""
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
    """The balances stand at both ends, the totals before the last: a file without its last row is not complete."""
    yield _COLUMNS
    start, end = iso_time(statement.start), iso_time(statement.end)
    yield [start, "", "opening_balance", "", "", _number(statement.opening_balance)]
    for line in statement.lines():
        moved = [_number(line.amount), _number(line.balance_after)]
        yield [iso_time(line.created_at), str(line.id), line.transaction_type, _harmless(line.description), *moved]
    yield [end, "", "total_in", "", _number(statement.total_in), ""]
    yield [end, "", "total_out", "", _number(-statement.total_out), ""]
    yield [end, "", "closing_balance", "", "", _number(statement.closing_balance)]


def _number(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _harmless(text: str) -> str:
    """Text that a spreadsheet shows and does not run."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
