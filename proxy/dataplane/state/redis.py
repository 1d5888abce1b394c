"""State in Redis, shared by the workers of a gateway."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import limits
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from proxy.dataplane.state.base import COUNTS_SECONDS, Counts, Lease, Report, StateUnavailable, total

_TIMEOUT_SECONDS = 1.0
_CONNECTIONS = 32
# No command is sent for this long after a failure, so that not every request waits for the timeout.
_PAUSE_SECONDS = 0.5
# Longer than the time after which a notice may be applied again, by another worker or after a restart.
_NOTICE_SECONDS = 86_400

# Keys: the lease. Arguments: device, milliseconds, session, its start. Takes a free lease or renews that of the same
# device; returns device, session and start of the holder.
_ACQUIRE = """
local held = redis.call('HMGET', KEYS[1], 'device', 'session', 'started')
if not held[1] then
  redis.call('HSET', KEYS[1], 'device', ARGV[1], 'session', ARGV[3], 'started', ARGV[4])
  held = {ARGV[1], ARGV[3], ARGV[4]}
end
if held[1] == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return held
"""

# Keys: the notice, the lease. Arguments: seconds. The first worker with the notice stores the session that holds the
# lease; only that session loses it, even if another worker renewed it meanwhile. Returns the holder like above.
_RELEASE = """
local held = redis.call('HGET', KEYS[2], 'session')
redis.call('SET', KEYS[1], held or '', 'NX', 'EX', ARGV[1])
if held and held == redis.call('GET', KEYS[1]) then
  redis.call('DEL', KEYS[2])
end
return redis.call('HMGET', KEYS[2], 'device', 'session', 'started')
"""

# Keys: the user's moving window, a list of drawn blocks, oldest first: the millisecond at which a block expires, then
# its permits. (The window of the limits package has an entry per permit: 117 KB for a user with 6000 a minute.)
# Arguments: permits, the limit, the window's milliseconds. Returns whether they were drawn, and if not, the
# milliseconds until the first block expires.
_DRAW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local drawn, ended, used = redis.call('LRANGE', KEYS[1], 0, -1), 0, 0
for at = 1, #drawn, 2 do
  if tonumber(drawn[at]) <= now then
    ended = at + 1
  else
    used = used + drawn[at + 1]
  end
end
if ended > 0 then
  redis.call('LTRIM', KEYS[1], ended, -1)
end
if used + ARGV[1] > tonumber(ARGV[2]) then
  return {0, (drawn[ended + 1] or now) - now}
end
redis.call('RPUSH', KEYS[1], string.format('%.0f', now + ARGV[3]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, 0}
"""


class RedisState:
    """See `proxy.dataplane.state.base.State`. A command takes at most two seconds, including the connection."""

    # If Redis loses the lease, two devices may use the token for this long.
    lease_memo = 2.0

    def __init__(self, url: str, rate: limits.RateLimitItem | None) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=_TIMEOUT_SECONDS,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            # A connection that broke while idle is made again; a command that timed out is not repeated.
            retry=Retry(NoBackoff(), 1, (ConnectionLost,)),
            decode_responses=True,
        )
        self._redis = Redis.from_pool(pool)
        self._acquire = self._redis.register_script(_ACQUIRE)
        self._release = self._redis.register_script(_RELEASE)
        self._draw = self._redis.register_script(_DRAW)
        self._rate = rate
        self._commands: set[asyncio.Future[Any]] = set()
        self._paused_until = 0.0

    async def acquire_lease(self, token_id: UUID, wanted: Lease, seconds: float) -> Lease | None:
        arguments = (wanted.device, math.ceil(seconds * 1000), str(wanted.session_id), repr(wanted.started))
        held = _lease(await self._execute(self._acquire, [_lease_key(token_id)], arguments))
        return held if held and held.device == wanted.device else None

    async def lease(self, token_id: UUID) -> Lease | None:
        return _lease(await self._execute(self._redis.hmget, _lease_key(token_id), "device", "session", "started"))

    async def release_lease(self, token_id: UUID, notice_id: int) -> Lease | None:
        keys = [f"zenzefi:reset:{notice_id}", _lease_key(token_id)]
        return _lease(await self._execute(self._release, keys, [_NOTICE_SECONDS]))

    async def share_counts(self, reports: Sequence[Report]) -> list[Counts]:
        pipeline = self._redis.pipeline(transaction=False)
        for session_id, part, counts in reports:
            key = _counts_key(session_id)
            pipeline.hset(key, str(part), " ".join(map(repr, counts)))
            pipeline.expire(key, COUNTS_SECONDS)
            pipeline.hvals(key)
        replies = await self._execute(pipeline.execute)
        return [_total(parts) for parts in replies[2::3]]

    async def counts(self, session_id: UUID) -> Counts | None:
        parts = await self._execute(self._redis.hvals, _counts_key(session_id))
        return _total(parts) if parts else None

    async def draw_permits(self, user_id: UUID, count: int) -> bool:
        drawn, _wait = await self._try_draw(user_id, count)
        return drawn

    async def seconds_until_permit(self, user_id: UUID) -> int:
        # More permits than the limit: none are drawn.
        _drawn, wait = await self._try_draw(user_id, self._rate.amount + 1 if self._rate else 0)
        return max(1, math.ceil(wait / 1000))

    async def _try_draw(self, user_id: UUID, count: int) -> tuple[bool, int]:
        """Draw permits; return whether they were drawn, and if not, the milliseconds until one is free."""
        if self._rate is None:
            return True, 0
        arguments = (count, self._rate.amount, self._rate.get_expiry() * 1000)
        drawn, wait = await self._execute(self._draw, [f"zenzefi:rate:{user_id}"], arguments)
        return bool(drawn), int(wait)

    async def spend(self, code: str, issued: float, seconds: float) -> bool:  # noqa: ARG002
        return bool(await self._execute(self._redis.set, f"zenzefi:spent:{code}", 1, nx=True, ex=math.ceil(seconds)))

    def forget_ended(self) -> None:
        """Do nothing: every key in Redis has a time to live."""

    async def close(self) -> None:
        await asyncio.gather(*self._commands, return_exceptions=True)
        await self._redis.aclose(close_connection_pool=True)

    async def _execute(self, command: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Return the reply to a command.

        The reply is read to its end even if the request was cancelled: the rest would be taken for the reply to the
        next command on the connection (CVE-2023-28858).
        """
        if time.monotonic() < self._paused_until:
            raise StateUnavailable
        running = asyncio.ensure_future(command(*arguments, **options))
        self._commands.add(running)
        running.add_done_callback(self._finish)
        try:
            return await asyncio.shield(running)
        except (RedisError, OSError, RuntimeError) as error:  # RuntimeError: uvloop's, on a connection that was reset
            raise StateUnavailable(str(error)) from error

    def _finish(self, running: asyncio.Future[Any]) -> None:
        self._commands.discard(running)
        if not running.cancelled() and running.exception() is not None:
            self._paused_until = time.monotonic() + _PAUSE_SECONDS


def _lease_key(token_id: UUID) -> str:
    return f"zenzefi:lease:{token_id}"


def _counts_key(session_id: UUID) -> str:
    return f"zenzefi:counts:{session_id}"


def _lease(held: Sequence[str | None]) -> Lease | None:
    device, session_id, started = held
    if device is None or session_id is None or started is None:
        return None
    return Lease(device, UUID(session_id), float(started))


def _total(parts: Sequence[str]) -> Counts:
    split = (part.split() for part in parts)
    return total(Counts(float(active), int(size), int(requests)) for active, size, requests in split)
