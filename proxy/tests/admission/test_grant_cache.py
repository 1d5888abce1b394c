"""GrantCache: one database read per token, and none that a revocation does not reach."""

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
    """The database: facts by digest. Counts the reads; `hold` makes them wait."""

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
    # No ORM behind it, so no connection to give back.
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


async def test_100_loads_at_once_are_one_query(grants, facts):
    facts.add()
    facts.hold.clear()
    loads = [asyncio.create_task(grants.load(secret_digest(b"token"))) for _ in range(100)]
    await _until(lambda: facts.reads)
    facts.hold.set()
    found = await asyncio.gather(*loads)
    assert len(set(map(id, found))) == 1
    assert len(facts.reads) == 1
    assert grants._loading == {}


async def test_one_who_gives_up_does_not_take_the_others_along(grants, facts):
    facts.add()
    facts.hold.clear()
    impatient, patient = (asyncio.create_task(grants.load(secret_digest(b"token"))) for _ in range(2))
    await _until(lambda: facts.reads)
    impatient.cancel()
    await asyncio.sleep(0)
    facts.hold.set()
    assert (await patient).valid
    assert len(facts.reads) == 1


async def test_a_failure_reaches_all_who_wait_and_is_not_kept(grants, facts):
    facts.add()
    facts.error = OSError("gone")
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
async def test_a_grant_denies_for_what_stands_against_it(grants, facts, given, denial):
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
    # The read has its facts already, as a database read whose snapshot is older than the revocation.
    facts.change(b"token", revoked=True)
    grants.drop_token(known.token_id)
    facts.hold.set()
    grant = await load
    assert grant.denial is INVALID_TOKEN
    assert len(facts.reads) == 2


class Waiting:
    """A database that answers all who wait in one turn of the event loop, in the order in which they asked."""

    def __init__(self, facts):
        self._facts = facts
        self.ready = asyncio.get_running_loop().create_future()

    async def run(self, _read, digest):
        await self.ready
        return self._facts.by_digest[digest]


async def test_what_turned_invalid_as_its_load_ended_is_read_again(facts):
    """Nobody gets it from the load that has ended and is not noted to have."""
    held = facts.add()
    database = Waiting(facts)
    grants = GrantCache(database)

    async def asks_as_the_load_ends():
        await database.ready
        grants.drop_token(held.token_id)
        return await grants.load(secret_digest(b"token"))

    first = asyncio.create_task(grants.load(secret_digest(b"token")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # now it waits for the database
    second = asyncio.create_task(asks_as_the_load_ends())
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


async def test_dropping_what_is_not_there_does_nothing(grants):
    grants.drop_token(uuid.uuid4())
    grants.drop_user(uuid.uuid4())
    assert len(grants) == 0


async def test_the_cache_is_bounded_and_forgets_the_oldest(grants, facts, monkeypatch):
    monkeypatch.setattr(grants_module, "_MAX_GRANTS", 3)
    for number in range(5):
        facts.add(b"%d" % number)
        await grants.load(secret_digest(b"%d" % number))
    assert len(grants) == len(grants._by_token) == len(grants._by_user) == 3
    assert [grants.get(secret_digest(b"%d" % number)) is not None for number in range(5)] == [False] * 2 + [True] * 3


# case D60
async def test_a_revocation_reaches_a_held_grant_that_the_cache_forgot(grants, facts, monkeypatch):
    monkeypatch.setattr(grants_module, "_MAX_GRANTS", 1)
    first = facts.add(b"first")
    held = await grants.load(secret_digest(b"first"))
    facts.add(b"second")
    await grants.load(secret_digest(b"second"))
    grants.drop_token(first.token_id)
    assert not held.valid


# --- Through the gate


class SilentFeed:
    """A feed that was silent for as long as the test says."""

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


async def test_without_a_token_nothing_is_asked(gate, facts):
    assert await _denial(gate, token=b"") is INVALID_TOKEN
    assert facts.reads == []


# case C47
async def test_the_database_gone_is_no_pass(gate, facts):
    facts.add()
    facts.error = OSError("gone")
    assert await _denial(gate) is STATE_UNAVAILABLE
    facts.error = None
    assert (await _admit(gate))[0].valid


# case D60
async def test_when_the_feed_is_silent_no_new_grant_is_given(gate, facts, feed):
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
async def test_a_revocation_while_the_first_use_is_noted_is_no_pass(gate, grants, facts, monkeypatch, change, denial):
    known = facts.add(activated=False)

    def activate(_token_id, _now):
        # Noted just before; the notice overtakes the answer.
        facts.change(b"token", activated=True, **change)
        loop.call_soon_threadsafe(grants.drop_user, known.user_id)
        time.sleep(0.01)
        return True

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(grants_module.services, "activate", activate)
    assert await _denial(gate) is denial


async def test_a_change_that_takes_nothing_away_denies_nothing(gate, grants, facts, monkeypatch):
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


async def test_the_first_use_is_noted_once(gate, facts, monkeypatch):
    known = facts.add(activated=False)
    noted = []
    monkeypatch.setattr(grants_module.services, "activate", lambda token_id, _now: not noted.append(token_id))
    for _ in range(5):
        await _admit(gate)
    assert noted == [known.token_id]


async def test_the_lease_outlives_what_the_worker_believes(gate, facts, monkeypatch):
    facts.add()
    at = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    await _admit(gate)
    at[0] += gate._lease_memo - 0.01
    await _admit(gate)
    # Active a moment ago: another device waits for the whole timeout from there.
    at[0] += gate._config.session_timeout
    assert await _denial(gate, device=b"device-2") is gate_module.DEVICE_CONFLICT
    at[0] += gate._lease_memo
    await _admit(gate, device=b"device-2")
    assert await _denial(gate, device=b"device-1") is gate_module.DEVICE_CONFLICT


async def test_a_device_that_falls_silent_holds_a_token_for_the_timeout_and_no_longer(
    grants, feed, facts, monkeypatch
):
    """However long ago its lease was renewed: what was carried since needed no renewal."""
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
