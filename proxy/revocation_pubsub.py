"""Redis messages that make every gateway worker poll the outbox of revocations at once.

The messages are empty: the rows of the outbox are the source of truth. If a message is lost, the worker reads the
revocation at its next poll (`proxy.dataplane.admission.revocation_feed`). Without `REDIS_URL` nothing is published,
because the gateway then runs in one process.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from access.signals import access_revoked

logger = logging.getLogger(__name__)

CHANNEL = "zenzefi:revocations"
_TIMEOUT = 0.5  # seconds
_RECONNECT_SECONDS = 1.0
# Ping after this long without a message, and reconnect after as long again without a response.
_QUIET_SECONDS = 2.0


class _Outage:
    """A log of the first of several failures in a row, and of the recovery."""

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._ongoing = False

    def record_failure(self, error: Exception) -> None:
        """Log the failure if it is the first in a row."""
        if not self._ongoing:
            unexpected = not isinstance(error, (redis.RedisError, OSError))
            details = {"operation": self._operation, "error": repr(error)}
            logger.warning("revocation_push_failed", extra=details, exc_info=unexpected)
        self._ongoing = True

    def record_success(self) -> None:
        """Log the recovery if the operation failed before."""
        if self._ongoing:
            logger.info("revocation_push_recovered", extra={"operation": self._operation})
        self._ongoing = False


class Publisher:
    """A publisher with its own thread, so that a revocation never waits for Redis."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url, socket_connect_timeout=_TIMEOUT, socket_timeout=_TIMEOUT, retry=Retry(NoBackoff(), 0)
        )
        # The interpreter joins the executor's thread at exit, so the last message of a command is sent.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="revocation-publisher")
        self._scheduled = False
        self._outage = _Outage("publish")

    def wake_all(self, **_kwargs: Any) -> None:
        """Schedule a message that makes every worker poll, and return at once. Calls before it is sent share it."""
        if not self._scheduled:
            self._scheduled = True
            self._thread.submit(self._publish)

    def _publish(self) -> None:
        self._scheduled = False
        try:
            self._client.publish(CHANNEL, b"")
        except (redis.RedisError, OSError) as error:
            self._outage.record_failure(error)
        else:
            self._outage.record_success()


def publish_revocations() -> None:
    """Publish a message for every revocation that this process commits from now on."""
    if settings.REDIS_URL:
        access_revoked.connect(Publisher(settings.REDIS_URL).wake_all, weak=False)


async def listen(wake: Callable[[], object]) -> None:
    """Call `wake` for each message until cancelled. Reconnect after failures."""
    if not settings.REDIS_URL:
        return
    outage = _Outage("listen")
    while True:
        try:
            await _receive(wake, outage)
        except Exception as error:  # noqa: BLE001  # any error: the listener must not end
            outage.record_failure(error)
        if _is_cancelled():
            return
        await asyncio.sleep(_RECONNECT_SECONDS)


def _is_cancelled() -> bool:
    """Return whether the current task was cancelled.

    The exception may be lost: redis-py sends with `asyncio.wait_for`, which before Python 3.12 swallows a
    cancellation that arrives when it is done, and an error while redis-py closes its connection replaces the
    cancellation.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _receive(wake: Callable[[], object], outage: _Outage) -> None:
    client = redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=_TIMEOUT, socket_timeout=_TIMEOUT, retry=Retry(NoBackoff(), 0)
    )
    async with client, client.pubsub() as subscription:
        await subscription.subscribe(CHANNEL)
        pinged = False
        while not _is_cancelled():
            # This timeout returns None. The timeout of the socket would end a quiet subscription.
            message = await subscription.get_message(timeout=_QUIET_SECONDS)
            if message is None and pinged:
                raise TimeoutError("Redis did not respond to a ping")
            pinged = message is None
            if message is None:
                await subscription.ping()
            elif message["type"] != "pong":
                # Also for the confirmation of the subscription: earlier messages did not arrive here.
                outage.record_success()
                wake()
