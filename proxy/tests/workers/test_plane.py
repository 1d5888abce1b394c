"""The jobs of a data plane: they do not wait for each other, and tolerate outages of the state store."""

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
def test_reads_that_hang_do_not_delay_a_revocation(gateway, alice_token, olga):
    """Read the feed on a separate connection."""
    released = threading.Event()

    async def hang():
        return [asyncio.create_task(gateway.plane.database.run(released.wait, 10)) for _ in range(50)]

    async def finish():
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
            gateway.run(finish())


# cases D60, G76
def test_a_reset_that_hangs_does_not_delay_other_cutoffs(gateway, alice, olga, sold_token, monkeypatch):
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
        self.calls, self.cuts = 0, []
        in_flight = InFlightRegistry(1)
        self.job = leases.LeaseRenewal(self, in_flight)
        self.session = Mock(in_flight=0, requests=0)
        in_flight.add(Mock(session=self.session, cut=self.cuts.append))
        self.session.last_active_at = 0.0

    async def renew_lease(self, _session):
        self.calls += 1
        if self.fails:
            raise StateUnavailable("unavailable")

    async def transfer(self, seconds):
        """Simulate traffic for so many seconds, and run the job twice a second."""
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
    await streams.transfer(30)
    assert streams.cuts == []
    await streams.transfer(1)
    assert streams.cuts == [STATE_UNAVAILABLE]


# case F67
async def test_two_outages_are_counted_separately(streams):
    await streams.transfer(29)
    streams.fails = False
    await streams.transfer(1)
    streams.fails = True
    await streams.transfer(29)
    assert streams.cuts == []


# case F67
async def test_an_outage_with_a_pause_in_traffic(streams):
    """Count outages separately if nothing was renewed between them, as the store may have recovered."""
    await streams.transfer(20)
    streams.now += 6
    await streams.transfer(20)
    assert streams.cuts == []
    streams.now += 4  # a pause of a few seconds does not separate outages
    await streams.transfer(8)
    assert streams.cuts


async def test_the_lease_of_a_silent_stream_is_not_renewed(streams):
    streams.now += 100
    await streams.job.run()
    assert (streams.calls, streams.cuts) == (0, [])


@pytest.mark.parametrize(
    ("taken", "longest", "pauses"),
    [
        (0.0, 10, [3, 3, 3]),  # nothing to do
        (0.1, 10, [3, 3, 3]),  # less than a twentieth of the time
        (0.25, 10, [3, 5, 5]),
        (60.0, 10, [3, 10, 10]),
        (60.0, 0, [3, 3, 3]),  # a job that must run as often as possible
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
