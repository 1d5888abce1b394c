"""A clock for upper bounds that does not count the time in which the machine did not run this process.

A rule such as "within two seconds" is about the gateway. On a loaded machine, its threads may wait longer than that
for a processor. A thread that does nothing but sleep measures how much too late it wakes up.
"""

import threading
import time
from collections import deque

_SLEEP = 0.02
_USUAL = 0.01  # by which a thread wakes up too late on a quiet machine

# The moments at which the thread woke up too late, and by how much.
_delays: deque[tuple[float, float]] = deque(maxlen=10_000)
_last = time.monotonic()


def running_seconds(since: float) -> float:
    """Return the seconds since this moment of `time.monotonic()`, without those lost by a loaded machine."""
    now = time.monotonic()
    lost = sum(delay for moment, delay in list(_delays) if moment > since)
    return now - since - lost - max(0, now - max(_last, since) - _SLEEP - _USUAL)


def _measure() -> None:
    global _last
    while True:
        time.sleep(_SLEEP)
        now = time.monotonic()
        if (delay := now - _last - _SLEEP) > _USUAL:
            _delays.append((now, delay))
        _last = now


threading.Thread(target=_measure, name="clock of the tests", daemon=True).start()
