"""The jobs of a data plane do not wait for each other, and an outage is as long as it is."""

import asyncio
import threading
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from access import services
from proxy.dataplane.errors import STATE_UNAVAILABLE
from proxy.dataplane.jobs import cutoffs, leases
from proxy.dataplane.jobs import repeat as repeat_module
from proxy.dataplane.plane import DataPlane
from proxy.dataplane.sessions.in_flight import InFlightRegistry
from proxy.dataplane.state.base import StateUnavailable
from proxy.tests.support.cutoffs import assert_aborted, within_two_seconds
from proxy.tests.support.servers import eventually


# cases D60, G76
def test_lookups_that_hang_hold_no_revocation_up(gateway, alice_token, olga):
    """The feed reads on a connection of its own."""
    released = threading.Event()

    async def hang():
        return [asyncio.create_task(gateway.plane.database.run(released.wait, 10)) for _ in range(50)]

    async def responses():
        return await asyncio.gather(*hanging, return_exceptions=True)

    with gateway.client(alice_token).stream("GET", "/events?interval=0.1") as events:
        pieces = events.iter_raw()
        next(pieces)
        hanging = gateway.run(hang())
        services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
        try:
            with within_two_seconds():
                assert_aborted(pieces)
        finally:
            released.set()
            gateway.run(responses())


# cases D60, G76
def test_a_reset_that_hangs_holds_no_other_cut_off_up(gateway, alice, olga, sold_token, monkeypatch):
    stuck, reset, revoked = (sold_token(alice) for _ in range(3))
    release, begun = gateway.plane.state.release_lease, []

    async def hangs(token_id, notice_id):
        begun.append(token_id)
        if token_id == stuck.token.pk:
            await asyncio.Event().wait()
        return await release(token_id, notice_id)

    monkeypatch.setattr(gateway.plane.state, "release_lease", hangs)
    with (
        gateway.client(reset).stream("GET", "/events?interval=0.1") as first,
        gateway.client(revoked).stream("GET", "/events?interval=0.1") as second,
    ):
        streams = [first.iter_raw(), second.iter_raw()]
        for pieces in streams:
            next(pieces)
        services.reset_device(alice, stuck.token.pk)
        eventually(lambda: begun == [stuck.token.pk])
        services.reset_device(alice, reset.token.pk)
        services.revoke_by_force(revoked.token.pk, actor=olga, reason="test")
        with within_two_seconds():
            for pieces in streams:
                assert_aborted(pieces)
    assert len(gateway.plane.cutoffs._resets) == 1


# case D60
async def test_a_feed_that_recovers_during_a_sweep_cuts_nothing_off(monkeypatch):
    silent, cut, in_flight = [31.0], Mock(), InFlightRegistry(1)
    in_flight.add(Mock(cut=cut, session=Mock(in_flight=0, requests=0), grant=Mock(deadline=float("inf"))))
    in_flight.cut_overdue = Mock()

    async def recover(*_arguments):
        silent[0] = 0.5

    monkeypatch.setattr(cutoffs, "refresh_grants", recover)
    running = cutoffs.Cutoffs(Mock(), Mock(), Mock(), in_flight)
    feed = SimpleNamespace(silent_seconds=lambda: silent[0])
    await DataPlane._sweep(SimpleNamespace(metrics=Mock(), cutoffs=running, feed=feed))
    cut.assert_not_called()


class Streams:
    """One open stream with traffic, and the job that renews its lease; a test moves the clock.

    The lease cannot be renewed while `fails` is set.
    """

    def __init__(self):
        self.now, self.fails = 1000.0, True
        self.asked, self.cuts = 0, []
        in_flight = InFlightRegistry(1)
        self.job = leases.LeaseRenewal(self, in_flight)
        self.session = Mock(in_flight=0, requests=0)
        in_flight.add(Mock(session=self.session, cut=self.cuts.append))
        self.session.last_active_at = 0.0

    async def renew_lease(self, _session):
        self.asked += 1
        if self.fails:
            raise StateUnavailable("gone")

    async def goes_on(self, seconds):
        """Traffic for so long, and the job of the data plane twice a second."""
        for _ in range(int(seconds * 2)):
            self.now += 0.5
            self.session.last_active_at = self.now
            await self.job.run()


@pytest.fixture
def streams(monkeypatch):
    streams = Streams()
    clock = SimpleNamespace(time=lambda: streams.now, monotonic=lambda: streams.now)
    monkeypatch.setattr(leases, "time", clock)
    return streams


# case F67
async def test_a_stream_is_cut_thirty_seconds_after_the_state_store_was_lost(streams):
    await streams.goes_on(30)
    assert streams.cuts == []
    await streams.goes_on(1)
    assert streams.cuts == [STATE_UNAVAILABLE]


# case F67
async def test_two_outages_are_not_one(streams):
    await streams.goes_on(29)
    streams.fails = False
    await streams.goes_on(1)
    streams.fails = True
    await streams.goes_on(29)
    assert streams.cuts == []


# case F67
async def test_an_outage_of_which_nobody_saw_the_end_is_not_the_next_one(streams):
    """Nobody asked meanwhile: whether it lasted, nobody knows."""
    await streams.goes_on(20)
    streams.now += 6
    await streams.goes_on(20)
    assert streams.cuts == []
    streams.now += 4  # but for a few seconds, that is the same one
    await streams.goes_on(8)
    assert streams.cuts


async def test_a_silent_stream_asks_nobody(streams):
    streams.now += 100
    await streams.job.run()
    assert (streams.asked, streams.cuts) == (0, [])


@pytest.mark.parametrize(
    ("taken", "longest", "pauses"),
    [
        (0.0, 10, [3, 3, 3]),  # nothing to do
        (0.1, 10, [3, 3, 3]),  # less than a twentieth of the time
        (0.25, 10, [3, 5, 5]),
        (60.0, 10, [3, 10, 10]),
        (60.0, 0, [3, 3, 3]),  # a job that must run as often as it can
    ],
)
async def test_a_long_job_runs_more_rarely_up_to_a_bound(monkeypatch, taken, longest, pauses):
    now, slept = [0.0], []

    async def sleep(seconds):
        if len(slept) == len(pauses):
            raise asyncio.CancelledError
        slept.append(seconds)

    async def job():
        now[0] += taken

    monkeypatch.setattr(repeat_module, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(repeat_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with pytest.raises(asyncio.CancelledError):
        await repeat_module.repeat(3, job, longest)
    assert slept == pytest.approx(pauses)
