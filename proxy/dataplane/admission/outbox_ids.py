"""The ids of the outbox that the revocation feed has seen, and the gaps between them.

Ids are assigned before the commit, so a lower id may appear after a higher one. Missing ids are queried until their
transaction can hardly be open any more. Those of rolled-back transactions never appear.
"""

import logging
import time
from bisect import bisect_right, insort
from datetime import timedelta

from access.selectors import SHORT_GAP

logger = logging.getLogger(__name__)

MAX_TRANSACTION_AGE = timedelta(hours=1)
# Each long gap is a condition of the query. Transactions that write many rows at the same time leave many short gaps.
_MAX_LONG_GAPS = 200
_MAX_SHORT_GAPS = 5000


class OutboxIds:
    """The ids seen so far: all up to `newest`, except for the gaps."""

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self._gaps: dict[int, tuple[range, float]] = {}  # by the first id: the gap, and since when it is known
        self._starts: list[int] = []  # sorted

    def gaps(self) -> list[range]:
        """Return the missing ids."""
        return [gap for gap, _ in self._gaps.values()]

    def record(self, number: int) -> bool:
        """Record an id as seen and return whether it is new; ids between the newest and this one become a gap."""
        if number > self.newest:
            self._add(range(self.newest + 1, number), time.monotonic())
            self.newest = number
            return True
        position = bisect_right(self._starts, number) - 1
        if position < 0 or number not in self._gaps[self._starts[position]][0]:
            return False
        gap, since = self._remove(self._starts[position])
        self._add(range(gap.start, number), since)
        self._add(range(number + 1, gap.stop), since)
        return True

    def drop_gaps(self) -> None:
        """Drop the gaps that are too old, and the oldest if there are too many."""
        oldest = time.monotonic() - MAX_TRANSACTION_AGE.total_seconds()
        for start in [start for start, (_, since) in self._gaps.items() if since <= oldest]:
            self._remove(start)
        if len(self._gaps) <= _MAX_LONG_GAPS:
            return
        by_age = sorted(self._gaps, key=lambda start: self._gaps[start][1])
        long = [start for start in by_age if len(self._gaps[start][0]) > SHORT_GAP]
        short = [start for start in by_age if len(self._gaps[start][0]) <= SHORT_GAP]
        too_many = long[:-_MAX_LONG_GAPS] + short[:-_MAX_SHORT_GAPS]
        for start in too_many:
            self._remove(start)
        if too_many:
            logger.error("revocation_gaps_dropped", extra={"gaps": len(too_many)})

    def _add(self, gap: range, since: float) -> None:
        if gap:
            self._gaps[gap.start] = gap, since
            insort(self._starts, gap.start)

    def _remove(self, start: int) -> tuple[range, float]:
        self._starts.remove(start)
        return self._gaps.pop(start)
