"""Repetition of a job until it is cancelled."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)


async def repeat(seconds: float, job: Callable[[], Awaitable[None]], longest: float = 0) -> None:
    """Run a job until cancelled, with `seconds` between two runs.

    A failure is logged and the job goes on; without it nothing would be cut off or counted. With `longest`, a job
    that takes more than a twentieth of the time runs more rarely, at most that many seconds apart.
    """
    pause = seconds
    while True:
        await asyncio.sleep(pause)
        started = time.monotonic()
        try:
            await job()
        except Exception:
            logger.exception("dataplane_job_failed", extra={"job": repr(job)})
        pause = max(seconds, min(20 * (time.monotonic() - started), longest))
