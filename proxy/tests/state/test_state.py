"""The state that workers share: leases, counts and permits, in memory and in Redis."""

import asyncio
import time
from uuid import uuid4

import limits
import pytest
from django.conf import settings as django_settings
from django_redis import get_redis_connection
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dataplane.state.base import Counts, Lease, Report, StateUnavailable
from proxy.dataplane.state.memory import MemoryState
from proxy.dataplane.state.redis import RedisState

RATE = limits.parse("20/second")
ONE, OTHER = "device-one", "device-other"


def new_lease(device):
    return Lease(device, uuid4(), time.time())


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
async def states(request):
    """Yield the views that two workers have of one state."""
    if request.param == "memory":
        state = MemoryState(RATE)
        yield state, state
        return
    both = RedisState(django_settings.REDIS_URL, RATE), RedisState(django_settings.REDIS_URL, RATE)
    yield both
    for state in both:
        await state.close()
    get_redis_connection().flushdb()


async def test_the_first_device_holds_a_token_and_its_session(states):
    a, b = states
    token, first = uuid4(), new_lease(ONE)
    assert await a.lease(token) is None
    assert await a.acquire_lease(token, first, 10) == first
    assert await b.acquire_lease(token, new_lease(OTHER), 10) is None
    assert await b.acquire_lease(token, new_lease(ONE), 10) == first
    assert await b.lease(token) == first
    assert await a.acquire_lease(uuid4(), new_lease(OTHER), 10) is not None


async def test_a_code_is_spent_once_within_its_lifetime(states):
    a, b = states
    now = time.time()
    assert sum(await asyncio.gather(*(state.spend("one", now, 0.9) for state in (a, b) * 5))) == 1
    assert await b.spend("other", now, 60)
    await asyncio.sleep(1.1)
    for state in states:
        state.forget_ended()
        assert not await state.spend("other", now, 60)
    assert await a.spend("one", now, 60)


async def test_a_lease_expires_and_only_its_holder_prolongs_it(states):
    a, b = states
    token = uuid4()
    started = time.monotonic()
    for _ in range(3):
        prolonged = time.monotonic()
        assert await a.acquire_lease(token, new_lease(ONE), 2)
        await asyncio.sleep(0.7)
        assert await b.acquire_lease(token, new_lease(OTHER), 2) is None
    while await b.acquire_lease(token, new_lease(OTHER), 2) is None:
        assert time.monotonic() - started < 30
        await asyncio.sleep(0.01)
    assert time.monotonic() - prolonged > 1.9


async def test_a_notice_releases_a_lease_once(states):
    """Release a lease for the first worker that applies a notice; later ones must not release the next lease."""
    a, b = states
    token = uuid4()
    await a.acquire_lease(token, new_lease(ONE), 10)
    await a.release_lease(token, 1)
    next_one = await a.acquire_lease(token, new_lease(OTHER), 10)
    assert next_one is not None
    if a is not b:  # a single worker applies a notice once
        await b.release_lease(token, 1)
        assert await b.lease(token) == next_one
    await b.release_lease(token, 2)
    assert await a.lease(token) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 2)), min_size=2, max_size=30))
@pytest.mark.services
def test_of_racing_devices_exactly_one_holds_each_token(race):
    """Let two workers acquire leases at the same time; each attempt has a worker, a device and a token."""

    async def run():
        workers = [RedisState(django_settings.REDIS_URL, None) for _ in range(2)]
        tokens = [uuid4() for _ in range(3)]
        held = await asyncio.gather(
            *(workers[worker].acquire_lease(tokens[token], new_lease(f"device-{device}"), 10)
              for worker, device, token in race)
        )  # fmt: skip
        for worker in workers:
            await worker.close()
        for number in range(3):
            attempts = [
                (f"device-{attempt[1]}", lease)
                for attempt, lease in zip(race, held, strict=True)
                if attempt[2] == number
            ]
            sessions = {lease.session_id for _, lease in attempts if lease}
            winners = {device for device, lease in attempts if lease}
            losers = {device for device, lease in attempts if not lease}
            assert len(sessions) == len(winners) == bool(attempts)
            assert not winners & losers

    asyncio.run(run())


async def test_counts_are_the_sum_of_their_parts(states):
    a, b = states
    session, here, there = uuid4(), uuid4(), uuid4()
    assert await a.counts(session) is None
    assert await a.share_counts([Report(session, here, Counts(1.5, 10, 1))]) == [Counts(1.5, 10, 1)]
    other = uuid4()
    reports = [Report(session, there, Counts(0.5, 5, 2)), Report(other, there, Counts(7.25, 0, 0))]
    assert await b.share_counts(reports) == [Counts(1.5, 15, 3), Counts(7.25, 0, 0)]
    assert await a.share_counts([Report(session, here, Counts(2.0, 11, 1))]) == [Counts(2.0, 16, 3)]
    assert await b.counts(session) == Counts(2.0, 16, 3)


async def test_permits_are_shared(states):
    user = uuid4()
    drawn = await asyncio.gather(*(states[number % 2].draw_permits(user, 2) for number in range(15)))
    assert sum(drawn) == 10
    assert await states[0].seconds_until_permit(user) == 1
    assert await states[1].draw_permits(uuid4(), 20)


async def test_each_permit_returns_when_its_window_has_passed(states):
    user, other = uuid4(), uuid4()
    assert await states[0].draw_permits(user, 12)
    began = time.monotonic()
    await asyncio.sleep(0.5)
    assert await states[1].draw_permits(user, 8)
    assert not await states[0].draw_permits(user, 1)
    assert await states[1].draw_permits(other, 1)  # each user has a separate window
    await asyncio.sleep(1.05 - (time.monotonic() - began))
    assert not await states[1].draw_permits(user, 13)
    assert await states[0].draw_permits(user, 12)
    assert not await states[0].draw_permits(user, 1)
    assert await states[0].seconds_until_permit(user) == 1


@pytest.mark.services
async def test_a_window_in_redis_has_two_values_for_each_block():
    redis, user = get_redis_connection(), uuid4()
    state = RedisState(django_settings.REDIS_URL, limits.parse("6000/minute"))
    assert await state.seconds_until_permit(user) == 1
    assert all([await state.draw_permits(user, 60) for _ in range(100)])
    assert 58 <= await state.seconds_until_permit(user) <= 60
    assert not await state.draw_permits(user, 1)
    assert redis.llen(f"zenzefi:rate:{user}") == 200
    await state.close()
    redis.flushdb()


# case G84
@pytest.mark.services
async def test_every_key_expires():
    redis = get_redis_connection()
    redis.flushdb()
    state, token = RedisState(django_settings.REDIS_URL, RATE), uuid4()
    await state.acquire_lease(token, new_lease(ONE), 10)
    await state.share_counts([Report(uuid4(), uuid4(), Counts(1.0, 1, 1))])
    await state.draw_permits(uuid4(), 1)
    await state.release_lease(uuid4(), 1)
    await state.close()
    keys = redis.keys()
    assert len(keys) == 4
    assert all(redis.ttl(key) > 0 for key in keys)
    assert all(key.startswith(b"zenzefi:") for key in keys)


async def test_an_unreachable_redis_is_reported_at_once():
    state = RedisState("redis://127.0.0.1:1/0", RATE)
    for call in (
        lambda: state.acquire_lease(uuid4(), new_lease(ONE), 10),
        lambda: state.lease(uuid4()),
        lambda: state.release_lease(uuid4(), 1),
        lambda: state.share_counts([Report(uuid4(), uuid4(), Counts(1.0, 1, 1))]),
        lambda: state.counts(uuid4()),
        lambda: state.draw_permits(uuid4(), 1),
        lambda: state.seconds_until_permit(uuid4()),
    ):
        state._paused_until = 0.0
        with pytest.raises(StateUnavailable):
            await call()
    started = time.monotonic()
    for _ in range(1000):
        with pytest.raises(StateUnavailable):
            await state.lease(uuid4())
    assert time.monotonic() - started < 2
    await state.close()


# case F69
@pytest.mark.services
async def test_the_response_to_a_cancelled_command_reaches_no_other():
    """Cancel commands without leaving responses on the connections that the next ones use (CVE-2023-28858)."""
    state = RedisState(django_settings.REDIS_URL, None)
    tokens = [uuid4() for _ in range(50)]
    for number, token in enumerate(tokens):
        await state.acquire_lease(token, new_lease(f"device-{number}"), 60)
    for _ in range(20):
        commands = [asyncio.create_task(state.lease(token)) for token in tokens]
        await asyncio.sleep(0)
        for task in commands[::2]:
            task.cancel()
        await asyncio.gather(*commands, return_exceptions=True)
        for number, token in enumerate(tokens):
            assert (await state.lease(token)).device == f"device-{number}"
    await state.close()
    assert state._commands == set()
    get_redis_connection().flushdb()


async def test_expired_permits_are_dropped(monkeypatch):
    state = MemoryState(limits.parse("4/minute"))
    old, new = uuid4(), uuid4()
    began = time.monotonic()
    for at, user in ((began, old), (began, new), (began + 50, new)):
        monkeypatch.setattr(time, "monotonic", lambda at=at: at)
        assert await state.draw_permits(user, 2)
    assert not await state.draw_permits(new, 1)
    assert await state.seconds_until_permit(new) == 10
    monkeypatch.setattr(time, "monotonic", lambda: began + 61)
    state.forget_ended()
    assert list(state._windows) == [new.int]
    assert await state.draw_permits(new, 2)
    assert not await state.draw_permits(new, 1)
    assert await state.seconds_until_permit(new) == 49
