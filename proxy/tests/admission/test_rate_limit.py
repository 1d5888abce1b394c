"""Rate permits: never more than the limit, with few calls to the state store."""

import asyncio
import time
from uuid import uuid4

import limits
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dataplane.admission.rate_limit import RateLimiter
from proxy.dataplane.errors import RATE_LIMITED, Denied
from proxy.dataplane.state.memory import MemoryState

ALICE, BOB = uuid4(), uuid4()


class Clock:
    """The clock of the data plane and of the store, which the test sets."""

    def __init__(self, patch):
        self.now = 1_800_000_000.0
        patch.setattr(time, "time", lambda: self.now)
        patch.setattr(time, "monotonic", lambda: self.now)


class CountingState(MemoryState):
    """A state that counts the calls."""

    draws = 0

    async def draw_permits(self, user_id, count):
        self.draws += 1
        return await super().draw_permits(user_id, count)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def _permits(rate):
    item = limits.parse(rate)
    state = CountingState(item)
    permits = RateLimiter(state, item)
    permits.held = [permits.block_of(user) for user in (ALICE, BOB)]  # as grants do
    return permits, state


async def _admitted(permits, times, user=ALICE, block=None):
    admitted, block = 0, block or permits.block_of(user)
    for _ in range(times):
        try:
            await permits.spend(block)
        except Denied as denied:
            assert denied.denial is RATE_LIMITED  # noqa: PT017  (the calls that raise are not counted)
            continue
        admitted += 1
    return admitted


async def test_without_a_limit_everything_is_admitted():
    permits = RateLimiter(MemoryState(None), None)
    assert await _admitted(permits, 1000) == 1000


@pytest.mark.parametrize("rate", ["5/second", "20/second", "99/minute", "100/minute", "1000/minute", "6000/minute"])
async def test_a_burst_is_admitted_up_to_the_limit(clock, rate):
    permits, _ = _permits(rate)
    limit = limits.parse(rate).amount
    assert await _admitted(permits, limit + 200) == limit


@given(
    st.sampled_from(["3/second", "20/second", "100/minute", "300/minute", "1000/minute"]),
    st.lists(st.tuples(st.floats(0, 1.2), st.integers(1, 400), st.booleans()), max_size=10),
)
@settings(max_examples=40, deadline=None)
def test_never_more_than_the_limit_within_a_window(rate, bursts):
    """Allow one block (1 %) above the limit, as it may be spent later; the contract allows 10 %."""
    item = limits.parse(rate)
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch)

        async def run():
            permits, _ = _permits(rate)
            spent = []
            for pause, tries, forget in bursts:
                clock.now += pause * item.get_expiry()
                spent += [clock.now] * await _admitted(permits, tries)
                if forget:
                    permits.held.clear()
            return spent

        spent = asyncio.run(run())
    for at in spent:
        within = sum(at - item.get_expiry() < other <= at for other in spent)
        assert within <= item.amount + item.amount // 100


async def test_a_small_real_window():
    permits, _ = _permits("20/second")
    started, admitted = time.monotonic(), []
    while time.monotonic() - started < 1.6:
        if await _admitted(permits, 1):
            admitted.append(time.monotonic())
        await asyncio.sleep(0.004)
    assert len([at for at in admitted if at - started < 0.9]) == 20
    assert all(sum(at - 0.98 < other <= at for other in admitted) <= 20 for at in admitted)
    assert len(admitted) > 20


async def test_blocks_reduce_the_calls_to_the_store(clock):
    permits, state = _permits("6000/minute")
    assert await _admitted(permits, 3000) == 3000
    assert state.draws == 50


async def test_permits_of_a_small_limit_are_drawn_singly(clock):
    permits, state = _permits("100/minute")
    assert await _admitted(permits, 50) == 50
    assert state.draws == 50


async def test_users_do_not_share(clock):
    permits, _ = _permits("5/minute")
    assert await _admitted(permits, 10) == 5
    assert await _admitted(permits, 10, BOB) == 5


async def test_requests_at_once_waste_no_permit():
    permits, _ = _permits("6000/minute")
    # The store's housekeeping delays some draws, as a store across the network delays all of them.
    results = []
    for _ in range(20):
        takes = [permits.spend(permits.block_of(ALICE)) for _ in range(100)]
        results += await asyncio.gather(*takes, return_exceptions=True)
    assert [result for result in results if result is not None] == []
    assert await _admitted(permits, 6000) == 4000


async def test_permits_of_a_slow_store_are_not_lost():
    item = limits.parse("1000/minute")

    class SlowState(MemoryState):
        async def draw_permits(self, user_id, count):
            await asyncio.sleep(0.001)
            return await super().draw_permits(user_id, count)

    permits = RateLimiter(SlowState(item), item)
    takes = [permits.spend(permits.block_of(ALICE)) for _ in range(1000)]
    results = await asyncio.gather(*takes, return_exceptions=True)
    assert sum(result is None for result in results) == 1000
    assert await _admitted(permits, 5) == 0


async def test_retry_after_is_when_the_window_has_room(clock):
    permits, _ = _permits("10/minute")
    await _admitted(permits, 4)
    clock.now += 20
    await _admitted(permits, 6)
    with pytest.raises(Denied) as caught:
        await permits.spend(permits.block_of(ALICE))
    assert caught.value.retry_after == 40
    clock.now += 39
    assert await _admitted(permits, 1) == 0
    clock.now += 1.1
    assert await _admitted(permits, 10) == 4


async def test_retry_after_is_at_least_a_second(clock):
    permits, _ = _permits("1/second")
    await permits.spend(permits.block_of(ALICE))
    clock.now += 0.999
    with pytest.raises(Denied) as caught:
        await permits.spend(permits.block_of(ALICE))
    assert caught.value.retry_after == 1


async def test_an_expired_block_returns_no_permits(clock):
    permits, _ = _permits("1000/minute")
    await _admitted(permits, 995)
    clock.now += 7  # a block lives for 6 s
    # The rest of the last block has expired, so fewer permits are left than the limit allows.
    assert await _admitted(permits, 100) <= 5


async def test_a_block_lives_as_long_as_it_is_referenced(clock):
    permits, state = _permits("1000/minute")
    await _admitted(permits, 1)
    clock.now += 5
    await _admitted(permits, 9)
    assert state.draws == 1
    permits.held.clear()
    await _admitted(permits, 1)
    assert state.draws == 2
