"""A statement as CSV (RFC 4180), for spreadsheets and bookkeeping."""

import csv
import io
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import IO

from asgiref.sync import sync_to_async
from django.http import FileResponse

from billing.statements import Statement

_COLUMNS = ["created_at", "id", "transaction_type", "description", "amount", "balance_after"]
_IN_MEMORY = 2**20  # bytes; what is larger goes through a file
_BLOCK = 2**16
# A cell that begins so, also after spaces, is a formula for spreadsheets (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class CSVResponse(FileResponse):
    """The statement's file.

    It is complete before its first byte is sent: the pace of a client holds up neither the database nor its snapshot,
    and what fails is an error instead of a statement that ends early.
    """

    block_size = _BLOCK

    def __init__(self, statement: Statement) -> None:
        last_day = statement.end - timedelta(microseconds=1)
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  (closed once it is read, or by Django)
        _write(statement, self._file)
        super().__init__(
            self._file,
            as_attachment=True,
            filename=f"zenzefi-statement-{statement.start:%Y-%m-%d}-{last_day:%Y-%m-%d}.csv",
            content_type="text/csv; charset=utf-8",
        )

    def __iter__(self) -> Iterator[bytes]:
        with self._file:
            yield from super().__iter__()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Under ASGI Django would read the whole file into memory first."""
        with self._file:
            while block := await sync_to_async(self._file.read)(_BLOCK):
                yield block


def _write(statement: Statement, file: IO[bytes]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    csv.writer(text).writerows(_rows(statement))
    text.detach()
    file.seek(0)


def _rows(statement: Statement) -> Iterator[list[str]]:
    """The balances stand at both ends, the totals before the last: a file without its last row is not complete."""
    yield _COLUMNS
    start, end = _instant(statement.start), _instant(statement.end)
    yield [start, "", "opening_balance", "", "", _number(statement.opening_balance)]
    for line in statement.lines():
        moved = [_number(line.amount), _number(line.balance_after)]
        yield [_instant(line.created_at), str(line.id), line.transaction_type, _harmless(line.description), *moved]
    yield [end, "", "total_in", "", _number(statement.total_in), ""]
    yield [end, "", "total_out", "", _number(-statement.total_out), ""]
    yield [end, "", "closing_balance", "", "", _number(statement.closing_balance)]


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _number(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _harmless(text: str) -> str:
    """Text that a spreadsheet shows and does not run."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
