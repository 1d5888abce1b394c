"""Random sequences of calls, expiries and crashes, compared with a simple model of the money."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import count
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.db import OperationalError, connection, transaction
from django.db.models import Sum
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from access import services
from access.models import AccessToken, Scope, Tariff
from access.tasks import expire_tokens
from accounts.models import User
from accounts.tests.factories import UserFactory
from billing import ledger
from billing.models import Entry, IdempotencyKey, Transaction
from billing.verification import verify_all
from conftest import client_of

CENT = Decimal("0.01")
MICROSECOND = timedelta(microseconds=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
HOURS = [hours for hours in django_settings.TOKEN_PRICES if hours <= 24]

people = st.sampled_from(["alice", "bob"])
amounts = st.integers(1, 3000).map(lambda hundredths: Decimal(hundredths).scaleb(-2))
durations = st.sampled_from(HOURS)
keyed = st.booleans()
# The number of the statement at which a call crashes. A call with fewer statements does not crash.
crashes = st.none() | st.integers(1, 16)


@dataclass(eq=False)
class Token:
    """The model of a sold token."""

    owner: str
    id: str
    hours: int
    cost: Decimal
    expires: datetime
    used: datetime | None = None
    revoked: bool = False

    def is_active(self, now: datetime) -> bool:
        return not self.revoked and now < self.expires

    def refund(self, now: datetime) -> Decimal:
        duration = timedelta(hours=self.hours)
        unused = min(max(duration - (now - self.used if self.used else timedelta(0)), timedelta(0)), duration)
        exact = (
            Fraction(self.cost) * Fraction(unused / timedelta(microseconds=1)) / Fraction(self.hours * 3_600_000_000)
        )
        return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True)
class Done:
    """A call that succeeded under an idempotency key, and its response."""

    who: str
    method: str
    path: str
    body: dict[str, Any]
    key: str
    response: dict[str, Any]


class MoneyMachine(RuleBasedStateMachine):
    """The money and tokens of Alice and Bob; Olga adjusts balances and blocks users."""

    tokens = Bundle("tokens")
    done = Bundle("done")

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example.__enter__()
        self.now = START
        self.keys = (f"key-{number}" for number in count())
        self.balances = {"alice": Decimal(0), "bob": Decimal(0)}
        self.blocked = dict.fromkeys(self.balances, False)
        self.sold: list[Token] = []
        self.movements = 0

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)

    @initialize()
    def open(self) -> None:
        self.users: dict[str, User] = {name: UserFactory(username=name) for name in self.balances}
        self.olga: User = UserFactory(username="olga", is_staff=True, is_superuser=True)
        self.prices = {}
        for hours in HOURS:
            price = django_settings.TOKEN_PRICES[hours]
            named = {"duration_hours": hours, "scope": Scope.FULL}
            Tariff.objects.get_or_create(**named, defaults={"price": price, "title": str(hours)})
            self.prices[hours] = Decimal(price)

    # --- Calls over HTTP

    def send(self, user: User, method: str, path: str, body: Any, key: str = "") -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        with time_machine.travel(self.now, tick=False):
            return getattr(client_of(user), method)(f"/api/v1{path}", body, headers=headers)

    def act(
        self, who: str, method: str, path: str, body: dict[str, Any], *, with_key: bool, crash: int | None
    ) -> tuple[Any, Done | None]:
        """Make a call and repeat it if it crashed. Return the response, and the call if it can be replayed."""
        key = next(self.keys) if with_key or crash else ""
        user = self.users[who]
        try:
            with crashing_at(crash):
                response = self.send(user, method, path, body, key)
        except OperationalError:
            self.check_crash(key)
            response = self.send(user, method, path, body, key)
        if self.blocked[who]:
            assert response.status_code == 401
        succeeded = key and response.status_code == 200
        return response, Done(who, method, path, body, key, response.json()) if succeeded else None

    def check_crash(self, key: str) -> None:
        """Check that a crashed call left its record and all its effects (it crashed after its commit), or neither."""
        if IdempotencyKey.objects.filter(key=key).exists():
            assert list(verify_all()) == []
        else:
            self.the_money_is_as_the_model_says()

    def moved(self, who: str, amount: Decimal) -> None:
        self.balances[who] += amount
        self.movements += bool(amount)

    @rule(target=done, who=people, amount=amounts, with_key=keyed, crash=crashes)
    def top_up(self, who: str, amount: Decimal, with_key: bool, crash: int | None) -> Done | MultipleResults[Done]:
        path, body = "/currency/mock-purchase", {"amount": amount}
        response, done = self.act(who, "post", path, body, with_key=with_key, crash=crash)
        if not self.blocked[who]:
            assert response.status_code == 200
            self.moved(who, amount)
            assert response.json()["new_balance"] == float(self.balances[who])
        return done or multiple()

    @rule(target=done, who=people, hours=durations, with_key=keyed, crash=crashes)
    def buy(self, who: str, hours: int, with_key: bool, crash: int | None) -> Done | MultipleResults[Done]:
        price, body = self.prices[hours], {"duration_hours": hours}
        response, done = self.act(who, "post", "/tokens/purchase", body, with_key=with_key, crash=crash)
        if self.blocked[who]:
            return multiple()
        assert response.status_code == (200 if price <= self.balances[who] else 402)
        if response.status_code == 200:
            self.moved(who, -price)
            expires = self.now + timedelta(hours=hours)
            self.sold.append(Token(who, response.json()["token_id"], hours, price, expires))
        return done or multiple()

    @rule(target=tokens, number=st.integers(0))
    def pick(self, number: int) -> Token | MultipleResults[Token]:
        return self.sold[number % len(self.sold)] if self.sold else multiple()

    @rule(target=done, token=tokens, hours=durations, with_key=keyed, crash=crashes)
    def extend(self, token: Token, hours: int, with_key: bool, crash: int | None) -> Done | MultipleResults[Done]:
        price, path = self.prices[hours], f"/tokens/{token.id}/extend"
        body = {"duration_hours": hours}
        response, done = self.act(token.owner, "post", path, body, with_key=with_key, crash=crash)
        if self.blocked[token.owner]:
            return multiple()
        if not token.is_active(self.now):
            assert response.status_code == 409
        elif price > self.balances[token.owner]:
            assert response.status_code == 402
        else:
            assert response.status_code == 200
            self.moved(token.owner, -price)
            token.cost += price
            token.hours += hours
            token.expires += timedelta(hours=hours)
        return done or multiple()

    @rule(target=done, token=tokens, with_key=keyed, crash=crashes)
    def refund(self, token: Token, with_key: bool, crash: int | None) -> Done | MultipleResults[Done]:
        path = f"/tokens/{token.id}"
        response, done = self.act(token.owner, "delete", path, {}, with_key=with_key, crash=crash)
        if self.blocked[token.owner]:
            return multiple()
        assert response.status_code == (200 if token.is_active(self.now) else 409)
        if response.status_code == 200:
            refund = token.refund(self.now)
            token.revoked = True
            self.moved(token.owner, refund)
            assert response.json()["refund_amount"] == float(refund)
        return done or multiple()

    @rule(done=done)
    def replay(self, done: Done) -> None:
        response = self.send(self.users[done.who], done.method, done.path, done.body, done.key)
        if self.blocked[done.who]:
            assert response.status_code == 401
        else:
            # `is_active` is the state at the time of the response.
            assert response.json() | {"is_active": None} == done.response | {"is_active": None}

    @rule(done=done)
    def send_something_else_with_the_same_key(self, done: Done) -> None:
        response = self.send(self.users[done.who], done.method, done.path, {**done.body, "amount": 9999}, done.key)
        if not self.blocked[done.who]:
            assert response.json()["code"] == "idempotency_conflict"

    # --- Events

    @rule(token=tokens)
    def use(self, token: Token) -> None:
        assert services.activate(AccessToken.objects.get(pk=token.id).pk, self.now) == token.is_active(self.now)
        if token.is_active(self.now):
            token.used = token.used or self.now

    @rule(minutes=st.integers(1, 30 * 60))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        with time_machine.travel(self.now, tick=False):
            expire_tokens()

    @rule(who=people, goal=amounts | st.just(Decimal(0)), crash=crashes)
    def adjust(self, who: str, goal: Decimal, crash: int | None) -> None:
        body = {"currency_balance": goal, "reason": "a correction"}
        path, key = f"/admin/users/{self.users[who].pk}", next(self.keys)
        try:
            with crashing_at(crash):
                response = self.send(self.olga, "patch", path, body, key)
        except OperationalError:
            self.check_crash(key)
            response = self.send(self.olga, "patch", path, body, key)
        assert response.status_code == 200
        self.moved(who, goal - self.balances[who])

    @rule(who=people, active=st.booleans())
    def block_or_unblock(self, who: str, active: bool) -> None:
        path, body = f"/admin/users/{self.users[who].pk}", {"is_active": active, "reason": "to see"}
        assert self.send(self.olga, "patch", path, body).status_code == 200
        self.blocked[who] = not active

    # --- Invariants

    @invariant()
    def the_money_is_as_the_model_says(self) -> None:
        assert {name: ledger.balance(user) for name, user in self.users.items()} == self.balances
        assert all(balance >= 0 for balance in self.balances.values())
        assert Entry.objects.aggregate(sum=Sum("amount"))["sum"] in (None, 0)
        assert Transaction.objects.count() == self.movements
        assert list(verify_all()) == []
        stored = AccessToken.objects.values_list("pk", "cost", "duration_hours", "revoked_at")
        assert {(str(pk), cost, hours, revoked_at is not None) for pk, cost, hours, revoked_at in stored} == {
            (token.id, token.cost, token.hours, token.revoked) for token in self.sold
        }


@contextmanager
def crashing_at(statement: int | None) -> Iterator[None]:
    """Let the database fail once, at the given statement of the block, counted from one.

    It never fails during or after a rollback: that would close the connection and lose the whole example.
    """
    number = 0

    def fail_once(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        nonlocal number
        number = -1 if number < 0 or sql.startswith("ROLLBACK") else number + 1
        if number == statement:
            raise OperationalError("a crash")
        return execute(sql, *arguments)

    with connection.execute_wrapper(fail_once):
        yield


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("runs", "steps"), [(20, 25), pytest.param(500, 50, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_any_sequence_keeps_the_rules(runs: int, steps: int, fresh_seed: int) -> None:
    # case A13
    run_state_machine_as_test(
        seed(fresh_seed)(MoneyMachine),
        settings=settings(
            max_examples=runs, stateful_step_count=steps, deadline=None, print_blob=True, database=None
        ),
    )
