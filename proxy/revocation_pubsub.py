"""Wake-ups between processes: whoever commits a revocation has every gateway worker read the outbox at once.

The rows of the outbox are the truth. A message says nothing but "look now", and one that is lost costs the wait for
the next poll (`proxy.dataplane.admission.revocation_feed`). Without `REDIS_URL` nothing is sent: what is embedded is
one process.
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
_TIMEOUT = 0.5
_RECONNECT_SECONDS = 1.0
# A subscription that has been quiet for this long is asked for a sign of life, and given up after as long again.
_QUIET_SECONDS = 2.0


class _Outage:
    """Logs the first failure of a row of them, and its end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lasts = False

    def goes_on(self, error: Exception) -> None:
        if not self._lasts:
            logger.warning("%s fails, revocations wait for the next poll: %s", self._what, error)
        self._lasts = True

    def is_over(self) -> None:
        if self._lasts:
            logger.info("%s works again", self._what)
        self._lasts = False


class Publisher:
    """Publishes in a thread of its own: whoever revokes does not wait for Redis, however slow it is."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url, socket_connect_timeout=_TIMEOUT, socket_timeout=_TIMEOUT, retry=Retry(NoBackoff(), 0)
        )
        # Its thread is waited for at the end of the interpreter, so a management command's last message goes out.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="revocation-push")
        self._waiting = False
        self._outage = _Outage("publishing to Redis")

    def wake_all(self, **_kwargs: Any) -> None:
        """Have every worker poll soon; returns at once. A message that has yet to be sent serves for many calls."""
        if not self._waiting:
            self._waiting = True
            self._thread.submit(self._publish)

    def _publish(self) -> None:
        self._waiting = False
        try:
            self._client.publish(CHANNEL, b"")
        except (redis.RedisError, OSError) as error:
            self._outage.goes_on(error)
        else:
            self._outage.is_over()


def publish_revocations() -> None:
    """From now on, tell every worker of what this process commits; for its start."""
    if settings.REDIS_URL:
        access_revoked.connect(Publisher(settings.REDIS_URL).wake_all, weak=False)


async def listen(wake: Callable[[], object]) -> None:
    """Call `wake` for what other processes publish, until cancelled; subscribes again while Redis comes and goes."""
    if not settings.REDIS_URL:
        return
    outage = _Outage("listening to Redis")
    while True:
        try:
            await _receive(wake, outage)
        except Exception as error:  # whatever it is: a listener that ended would never hear again
            outage.goes_on(error)
        if _is_cancelled():
            return
        await asyncio.sleep(_RECONNECT_SECONDS)


def _is_cancelled() -> bool:
    """redis-py sends by `asyncio.wait_for`, which loses a cancellation that comes when it is done (until 3.12); and
    what fails when it closes its connection takes the cancellation's place."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _receive(wake: Callable[[], object], outage: _Outage) -> None:
    client = redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=_TIMEOUT, socket_timeout=_TIMEOUT, retry=Retry(NoBackoff(), 0)
    )
    async with client, client.pubsub() as subscription:
        await subscription.subscribe(CHANNEL)
        asked = False
        while not _is_cancelled():
            # Its own timeout, which is no error; the socket's would end a quiet subscription.
            message = await subscription.get_message(timeout=_QUIET_SECONDS)
            if message is None and asked:
                raise TimeoutError("Redis does not answer")
            asked = message is None
            if message is None:
                await subscription.ping()
            elif message["type"] != "pong":
                # The confirmation of the subscription counts too: what was sent before it, nobody heard.
                outage.is_over()
                wake()
