"""Logging filters that keep floods and outages from filling the log."""

import logging
import time

from zenzefi.common.errors import OUTAGES

SECONDS = 60.0


class FloodFilter(logging.Filter):
    """One record per message and minute: clients cannot fill the log with warnings about their mistakes.

    The next record that passes has `suppressed`, the number of records dropped since the last one. Messages are
    compared before their arguments are inserted, as each call may have different arguments. Errors always pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._suppressed: dict[str, int] = {}
        self._passed_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record passes."""
        if record.levelno >= logging.ERROR:
            return True
        text, now = str(record.msg), time.monotonic()
        if text in self._passed_at and now - self._passed_at[text] < SECONDS:
            self._suppressed[text] = self._suppressed.get(text, 0) + 1
            return False
        self._passed_at[text] = now
        record.suppressed = self._suppressed.pop(text, 0)
        return True


class OutageFilter(logging.Filter):
    """One line for an outage, without the traceback that each failed request would repeat."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the traceback of an outage by the error's message; let every record pass."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OUTAGES):
            record.msg, record.args = f"{record.getMessage()}: {error}", ()
            record.exc_info = None
        return True
