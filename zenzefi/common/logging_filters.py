"""What clients can make the server say is said once a minute: a flood of their mistakes must not fill the log."""

import logging
import time

SECONDS = 60.0


class Sparse(logging.Filter):
    """Lets one warning of each text through in `SECONDS`; the next one tells in `suppressed` how many were held back.

    The text is that before its arguments, of which there are as many as there are calls. Errors always pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._suppressed: dict[str, int] = {}
        self._passed_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            return True
        text, now = str(record.msg), time.monotonic()
        if text in self._passed_at and now - self._passed_at[text] < SECONDS:
            self._suppressed[text] = self._suppressed.get(text, 0) + 1
            return False
        self._passed_at[text] = now
        record.suppressed = self._suppressed.pop(text, 0)
        return True
