"""Recovery from SIGKILL at any moment: the ledger stays consistent, and every call can be repeated."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from access.models import AccessToken
from access.tests.support.crash_client import Step, make
from accounts.models import User
from billing import ledger
from billing.models import IdempotencyKey, Payment, Transaction, TransactionType
from billing.verification import verify_all
from conftest import fund
from proxy.tests.support.processes import database_url

ROOT = Path(__file__).parents[2]
CREDITS = Decimal(100_000)
CREDIT = Decimal("25.50")
LONGEST_LIFE = 0.15  # seconds, in which a client makes about ten calls


class CrashClients:
    """The prepared process that forks clients to be killed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.first = self._read_line()

    def _read_line(self) -> dict[str, Any]:
        assert self._process.stdout
        line: dict[str, Any] = json.loads(self._process.stdout.readline())
        return line

    def run_and_kill(self, seed: int, seconds: float) -> list[dict[str, Any]]:
        """Start a client, kill it `seconds` after its first call began, and return the lines it wrote."""
        assert self._process.stdin
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()
        pid = self._read_line()["pid"]
        lines = [self._read_line()]
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        while (line := self._read_line()) != {"ended": pid}:
            lines.append(line)
        return lines


@contextmanager
def crash_clients(user: User) -> Iterator[CrashClients]:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "zenzefi.settings", "DATABASE_URL": database_url()}
    process = subprocess.Popen(
        [sys.executable, "-m", "access.tests.support.crash_client", str(user.pk)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield CrashClients(process)
    finally:
        process.communicate(timeout=30)
    assert process.returncode == 0


def is_committed(step: Step) -> bool:
    if step.kind == "credit":
        return Payment.objects.get(pk=step.payment_id).transaction_id is not None
    return IdempotencyKey.objects.filter(key=step.key).exists()


def repeat(user: User, step: Step) -> dict[str, Any]:
    """Send a step again until the server has noticed that its first sender is gone; return the response."""
    deadline = time.monotonic() + 10
    while (response := make(user, step))["status"] != 200:
        assert time.monotonic() < deadline, response
        time.sleep(0.02)
    return response


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_a_client_that_is_killed(kills: int, alice: User, tariffs: None, fresh_seed: int) -> None:  # case F68
    fund(alice, CREDITS)
    chance = random.Random(fresh_seed)
    found: Counter[str] = Counter()
    with crash_clients(alice) as clients:
        responses: dict[Step, dict[str, Any]] = {Step(**clients.first["done"]): clients.first["response"]}
        for _kill in range(kills):
            lines = clients.run_and_kill(chance.getrandbits(32), chance.uniform(0, LONGEST_LIFE))
            done = {Step(**line["done"]): line["response"] for line in lines if "done" in line}
            begun = [Step(**line["begun"]) for line in lines if "begun" in line]
            responses |= done
            for step in begun[len(done) :]:
                found["after its commit" if is_committed(step) else "before its commit"] += 1
                responses[step] = repeat(alice, step)
            assert [str(discrepancy) for discrepancy in verify_all()] == []
    sys.stdout.write(f"{dict(found)}, {len(responses)} calls\n")

    assert found.total() >= kills // 2
    assert {step: repeat(alice, step) for step in responses} == responses  # case A6
    kinds = Counter(step.kind for step in responses)
    tokens = {response["token_id"] for step, response in responses.items() if step.kind == "buy"}
    refunds = sum(
        Decimal(str(response["refund_amount"])) for step, response in responses.items() if step.kind == "refund"
    )
    assert len(tokens) == kinds["buy"] == AccessToken.objects.count()
    assert Transaction.objects.filter(type=TransactionType.REFUND).count() == kinds["refund"] == refunds
    assert Transaction.objects.filter(type=TransactionType.DEPOSIT).count() == 1 + kinds["credit"]
    assert ledger.balance(alice) == CREDITS - kinds["buy"] + refunds + CREDIT * kinds["credit"]
