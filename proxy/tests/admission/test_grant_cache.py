"""The grant cache: one database read per token, and every cached grant is reached by revocations."""

import asyncio
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from access.models import Scope
from access.selectors import GrantFacts
from proxy.dataplane import config as config_module
from proxy.dataplane.admission import gate as gate_module
from proxy.dataplane.admission import grant_cache as grants_module
from proxy.dataplane.admission.gate import Gate
from proxy.dataplane.admission.grant_cache import GrantCache
from proxy.dataplane.admission.rate_limit import RateLimiter
from proxy.dataplane.database import Database
from proxy.dataplane.errors import (
    INVALID_TOKEN,
    STATE_UNAVAILABLE,
    TOKEN_EXPIRED,
    TOKEN_FROZEN,
    USER_INACTIVE,
    Denied,
)
from proxy.dataplane.rules.headers import RequestHead
from proxy.dataplane.sessions.accounting import Accounting
from proxy.dataplane.state.memory import MemoryState
from zenzefi.common.digests import secret_digest


class Facts:
    """A database of facts by digest, which records reads; they wait while `hold` is cleared."""

    def __init__(self):
        self.by_digest = {}
        self.reads = []
        self.hold = threading.Event()
        self.hold.set()
        self.error = None

    def add(self, text=b"token", user_id=None, **given):
        values = {
            "token_id": uuid.uuid4(),
            "user_id": user_id or uuid.uuid4(),
            "scope": Scope.FULL,
            "expires_at": datetime.now(UTC) + timedelta(hours=1),
            "activated": True,
            "revoked": False,
            "frozen": False,
            "user_active": True,
        }
        facts = GrantFacts(**values | given)
        self.by_digest[secret_digest(text)] = facts
        return facts

    def change(self, text, **given):
        digest = secret_digest(text)
        self.by_digest[digest] = GrantFacts(
            **{name: getattr(self.by_digest[digest], name) for name in GrantFacts.__dataclass_fields__} | given
        )

    def read(self, digest):
        self.reads.append(digest)
        found = self.by_digest.get(digest)
        assert self.hold.wait(5)
        if self.error is not None:
            raise self.error
        return found


@pytest.fixture
def facts(monkeypatch):
    facts = Facts()
    monkeypatch.setattr(grants_module, "grant_facts", facts.read)
    # The reads use no ORM, so there is no connection to close.
    monkeypatch.setattr("proxy.dataplane.database.close_old_connections", lambda: None)
    yield facts
    facts.hold.set()


@pytest.fixture
def database():
    database = Database()
    yield database
    database.close()


@pytest.fixture
def grants(facts, database):
    return GrantCache(database)


async def _until(condition):
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError(condition)


async def test_a_grant_is_read_once_and_then_cached(grants, facts):
    known = facts.add()
    grant = await grants.load(secret_digest(b"token"))
    assert (grant.token_id, grant.user_id, grant.scope) == (known.token_id, known.user_id, "full")
    assert grant.deadline == known.expires_at.timestamp()
    assert (grant.user_header, grant.token_header) == (str(known.user_id).encode(), str(known.token_id).encode())
    assert grants.get(secret_digest(b"token")) is grant
    assert facts.reads == [secret_digest(b"token")]


async def test_100_simultaneous_loads_are_one_query(grants, facts):
    facts.add()
    facts.hold.clear()
    loads = [asyncio.create_task(grants.load(secret_digest(b"token"))) for _ in range(100)]
    await _until(lambda: facts.reads)
    facts.hold.set()
    found = await asyncio.gather(*loads)
    assert len(set(map(id, found))) == 1
    assert len(facts.reads) == 1
    assert grants._loading == {}


async def test_a_cancelled_load_does_not_cancel_the_others(grants, facts):
    facts.add()
    facts.hold.clear()
    cancelled, other = (asyncio.create_task(grants.load(secret_digest(b"token"))) for _ in range(2))
    await _until(lambda: facts.reads)
    cancelled.cancel()
    await asyncio.sleep(0)
    facts.hold.set()
    assert (await other).valid
    assert len(facts.reads) == 1


async def test_a_failure_reaches_all_waiting_loads_and_is_not_cached(grants, facts):
    facts.add()
    facts.error = OSError("unavailable")
    results = await asyncio.gather(*(grants.load(secret_digest(b"token")) for _ in range(3)), return_exceptions=True)
    assert results == [facts.error] * 3
    facts.error = None
    assert (await grants.load(secret_digest(b"token"))).valid


async def test_a_miss_is_remembered_briefly(grants, facts, monkeypatch):
    digest = secret_digest(b"no such token")
    assert await grants.load(digest) is None
    assert grants.is_known_missing(digest)
    assert not grants.is_known_missing(secret_digest(b"another"))
    later = time.monotonic() + 6
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not grants.is_known_missing(digest)


async def test_misses_are_bounded(grants, monkeypatch):
    monkeypatch.setattr(grants_module, "_MAX_MISSES", 3)
    for number in range(10):
        await grants.load(secret_digest(b"%d" % number))
    assert len(grants._misses) == 3
    assert grants.is_known_missing(secret_digest(b"9"))


@pytest.mark.parametrize(
    ("given", "denial"),
    [
        ({}, None),
        ({"revoked": True}, INVALID_TOKEN),
        ({"frozen": True}, TOKEN_FROZEN),
        ({"user_active": False}, USER_INACTIVE),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, TOKEN_EXPIRED),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC), "revoked": True}, INVALID_TOKEN),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC), "user_active": False}, TOKEN_EXPIRED),
        ({"revoked": True, "user_active": False}, INVALID_TOKEN),
    ],
)
async def test_the_denial_of_a_grant(grants, facts, given, denial):
    facts.add(**given)
    grant = await grants.load(secret_digest(b"token"))
    if denial is None:
        grant.check_active()
        return
    with pytest.raises(Denied) as caught:
        grant.check_active()
    assert caught.value.denial is denial


# case D60
async def test_a_revocation_during_a_load_is_not_lost(grants, facts):
    known = facts.add()
    facts.hold.clear()
    load = asyncio.create_task(grants.load(secret_digest(b"token")))
    await _until(lambda: facts.reads)
    # The read already has its facts, like a database read whose snapshot is older than the revocation.
    facts.change(b"token", revoked=True)
    grants.drop_token(known.token_id)
    facts.hold.set()
    grant = await load
    assert grant.denial is INVALID_TOKEN
    assert len(facts.reads) == 2


class WaitingDatabase:
    """A database that completes all waiting reads in one turn of the event loop, in the order of their calls."""

    def __init__(self, facts):
        self._facts = facts
        self.ready = asyncio.get_running_loop().create_future()

    async def run(self, _read, digest):
        await self.ready
        return self._facts.by_digest[digest]


async def test_a_grant_that_turned_invalid_as_its_load_ended_is_read_again(facts):
    """Do not return the grant of a load that has ended but is still registered as running."""
    held = facts.add()
    database = WaitingDatabase(facts)
    grants = GrantCache(database)

    async def load_as_the_first_ends():
        await database.ready
        grants.drop_token(held.token_id)
        return await grants.load(secret_digest(b"token"))

    first = asyncio.create_task(grants.load(secret_digest(b"token")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # now the load waits for the database
    second = asyncio.create_task(load_as_the_first_ends())
    await asyncio.sleep(0)
    database.ready.set_result(None)
    assert not (await first).valid
    assert (await second).valid


async def test_a_block_of_the_user_during_a_load_is_not_lost(grants, facts):
    known = facts.add()
    facts.hold.clear()
    load = asyncio.create_task(grants.load(secret_digest(b"token")))
    await _until(lambda: facts.reads)
    facts.change(b"token", user_active=False)
    grants.drop_user(known.user_id)
    facts.hold.set()
    assert (await load).denial is USER_INACTIVE


async def test_a_held_grant_turns_invalid(grants, facts):
    known = facts.add()
    grant = await grants.load(secret_digest(b"token"))
    grants.drop_token(known.token_id)
    assert not grant.valid
    assert grants.get(secret_digest(b"token")) is None
    again = await grants.load(secret_digest(b"token"))
    assert again is not grant
    assert again.valid


async def test_every_grant_of_a_user_turns_invalid(grants, facts):
    user = uuid.uuid4()
    for number in range(3):
        facts.add(b"%d" % number, user_id=user)
    facts.add(b"of another")
    held = [await grants.load(secret_digest(b"%d" % number)) for number in range(3)]
    other = await grants.load(secret_digest(b"of another"))
    grants.drop_user(user)
    assert [grant.valid for grant in held] == [False] * 3
    assert other.valid
    assert len(grants) == 1


async def test_dropping_an_unknown_grant_does_nothing(grants):
    grants.drop_token(uuid.uuid4())
    grants.drop_user(uuid.uuid4())
    assert len(grants) == 0


async def test_the_cache_is_bounded_and_drops_the_oldest(grants, facts, monkeypatch):
    monkeypatch.setattr(grants_module, "_MAX_GRANTS", 3)
    for number in range(5):
        facts.add(b"%d" % number)
        await grants.load(secret_digest(b"%d" % number))
    assert len(grants) == len(grants._by_token) == len(grants._by_user) == 3
    assert [grants.get(secret_digest(b"%d" % number)) is not None for number in range(5)] == [False] * 2 + [True] * 3


# case D60
async def test_a_revocation_reaches_a_held_grant_that_the_cache_dropped(grants, facts, monkeypatch):
    monkeypatch.setattr(grants_module, "_MAX_GRANTS", 1)
    first = facts.add(b"first")
    held = await grants.load(secret_digest(b"first"))
    facts.add(b"second")
    await grants.load(secret_digest(b"second"))
    grants.drop_token(first.token_id)
    assert not held.valid


# --- Through the gate


class SilentFeed:
    """A feed that has been silent for the number of seconds that the test sets."""

    silent = 0.0

    def silent_seconds(self):
        return self.silent


@pytest.fixture
def feed():
    return SilentFeed()


@pytest.fixture
async def gate(grants, feed, settings):
    settings.MAINTENANCE = False
    config = config_module.Config.from_settings()
    return Gate(config, grants, feed, MemoryState(None), RateLimiter(MemoryState(None), None), Accounting(300))


def _head(token=b"token", device=b"device-1"):
    return RequestHead(token=token, device=device, host=b"localhost")


async def _denial(gate, **given):
    with pytest.raises(Denied) as caught:
        await _admit(gate, **given)
    return caught.value.denial


async def _admit(gate, **given):
    identity, session = await gate.admit(_head(**given), b"/", on_proxy_host=False, ip=None, unsafe=False)
    return identity.grant, session


async def test_a_denied_token_reaches_the_database_once(gate, facts):
    for _ in range(50):
        assert await _denial(gate, token=b"unknown") is INVALID_TOKEN
    assert len(facts.reads) == 1


async def test_a_revoked_token_reaches_the_database_once(gate, facts):
    facts.add(revoked=True)
    for _ in range(50):
        assert await _denial(gate) is INVALID_TOKEN
    assert len(facts.reads) == 1


async def test_an_admitted_token_reaches_the_database_once(gate, facts):
    facts.add()
    for _ in range(50):
        await _admit(gate)
    assert len(facts.reads) == 1


async def test_a_request_without_a_token_reads_nothing(gate, facts):
    assert await _denial(gate, token=b"") is INVALID_TOKEN
    assert facts.reads == []


# case C47
async def test_a_failed_database_admits_no_new_token(gate, facts):
    facts.add()
    facts.error = OSError("unavailable")
    assert await _denial(gate) is STATE_UNAVAILABLE
    facts.error = None
    assert (await _admit(gate))[0].valid


# case D60
async def test_no_new_grant_is_admitted_while_the_feed_is_silent(gate, facts, feed):
    facts.add()
    facts.add(b"new")
    await _admit(gate)
    feed.silent = 5.5
    assert await _denial(gate, token=b"new") is STATE_UNAVAILABLE
    assert not gate.admits_new
    await _admit(gate)
    feed.silent = 29.9
    await _admit(gate)
    feed.silent = 30.1
    assert await _denial(gate) is STATE_UNAVAILABLE
    feed.silent = 0.5
    await _admit(gate)
    await _admit(gate, token=b"new")
    assert gate.admits_new


async def test_a_known_miss_is_still_a_miss_while_the_feed_is_silent(gate, feed):
    assert await _denial(gate, token=b"unknown") is INVALID_TOKEN
    feed.silent = 10
    assert await _denial(gate, token=b"unknown") is INVALID_TOKEN


# case D60
@pytest.mark.parametrize(
    ("change", "denial"), [({"revoked": True}, INVALID_TOKEN), ({"user_active": False}, USER_INACTIVE)]
)
async def test_a_revocation_during_the_activation_denies(gate, grants, facts, monkeypatch, change, denial):
    known = facts.add(activated=False)

    def activate(_token_id, _now):
        # The token is activated just before; the notice overtakes the result.
        facts.change(b"token", activated=True, **change)
        loop.call_soon_threadsafe(grants.drop_user, known.user_id)
        time.sleep(0.01)
        return True

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(grants_module.services, "activate", activate)
    assert await _denial(gate) is denial


async def test_a_change_that_revokes_nothing_denies_nothing(gate, grants, facts, monkeypatch):
    known = facts.add(activated=False)

    def activate(_token_id, _now):
        facts.change(b"token", activated=True)
        loop.call_soon_threadsafe(grants.drop_token, known.token_id)
        time.sleep(0.01)
        return True

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(grants_module.services, "activate", activate)
    grant, _ = await _admit(gate)
    assert grant.valid


async def test_a_token_that_ended_before_its_first_use_is_denied(gate, facts, monkeypatch):
    facts.add(activated=False)
    monkeypatch.setattr(grants_module.services, "activate", lambda _token_id, _now: False)
    assert await _denial(gate) is INVALID_TOKEN


async def test_the_token_is_activated_once(gate, facts, monkeypatch):
    known = facts.add(activated=False)
    activated = []
    monkeypatch.setattr(grants_module.services, "activate", lambda token_id, _now: not activated.append(token_id))
    for _ in range(5):
        await _admit(gate)
    assert activated == [known.token_id]


async def test_the_lease_outlives_the_memo_of_the_worker(gate, facts, monkeypatch):
    facts.add()
    at = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    await _admit(gate)
    at[0] += gate._lease_memo - 0.01
    await _admit(gate)
    # The device was active a moment ago, so another one waits for the whole timeout from then.
    at[0] += gate._config.session_timeout
    assert await _denial(gate, device=b"device-2") is gate_module.DEVICE_CONFLICT
    at[0] += gate._lease_memo
    await _admit(gate, device=b"device-2")
    assert await _denial(gate, device=b"device-1") is gate_module.DEVICE_CONFLICT


async def test_a_silent_device_holds_a_token_for_exactly_the_timeout(grants, feed, facts, monkeypatch):
    """Count from the last activity, which may be later than the last renewal of the lease."""
    facts.add()
    config, accounting = config_module.Config.from_settings(), Accounting(300)
    state = MemoryState(None, accounting.seconds_left)
    gate = Gate(config, grants, feed, state, RateLimiter(state, None), accounting)
    now, clock = time.time(), time.monotonic()
    passed = [0.0]
    monkeypatch.setattr(time, "time", lambda: now + passed[0])
    monkeypatch.setattr(time, "monotonic", lambda: clock + passed[0])
    _grant, session = await _admit(gate)
    passed[0] = 25
    assert (await _admit(gate))[1] is session
    session.count_bytes(1)
    passed[0] = 25 + 299
    assert await _denial(gate, device=b"device-2") is gate_module.DEVICE_CONFLICT
    passed[0] = 25 + 301
    _grant, session = await _admit(gate, device=b"device-2")
    session.count_bytes(1)
    assert await _denial(gate) is gate_module.DEVICE_CONFLICT


async def test_a_denied_device_does_not_count_as_activity(gate, facts, monkeypatch):
    facts.add()
    at = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    await _admit(gate)
    for _ in range(10):
        at[0] += gate._config.session_timeout / 11
        assert await _denial(gate, device=b"device-2") is gate_module.DEVICE_CONFLICT
    at[0] += gate._config.session_timeout
    await _admit(gate, device=b"device-2")
