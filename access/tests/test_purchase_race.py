"""Parallel purchases from one balance."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from rest_framework.test import APIClient

from access.models import AccessToken
from access.tests.support.concurrency import at_once
from accounts.models import User
from billing import ledger, verification
from conftest import client_of, fund

ROOT = Path(__file__).parents[2]
BUYERS = 50


@pytest.mark.django_db(transaction=True)
def test_fifty_buyers_in_one_process(tariffs: None, alice: User) -> None:  # case A4
    fund(alice, "10")
    buyers = [client_of(alice) for _ in range(BUYERS)]

    responses = at_once(
        *(lambda api=api: api.post("/api/v1/tokens/purchase", {"duration_hours": 12}) for api in buyers)
    )

    assert Counter(response.status_code for response in responses) == {200: 1, 402: 49}
    assert {response.json()["detail"] for response in responses if response.status_code == 402} == {
        "Insufficient balance. Required: 10.00 ZNC, Available: 0.00 ZNC"
    }
    assert AccessToken.objects.count() == 1
    assert ledger.balance(alice) == 0
    assert verification.verify() == []


@pytest.mark.django_db(transaction=True)
def test_one_key_sent_twenty_times_at_once(tariffs: None, alice: User) -> None:  # case A6
    fund(alice, "100")
    buyers = [client_of(alice) for _ in range(20)]

    def buy(api: APIClient) -> tuple[int, str]:
        response = api.post("/api/v1/tokens/purchase", {"duration_hours": 12}, headers={"Idempotency-Key": "once"})
        return response.status_code, response.json().get("token") or response.json()["code"]

    responses = Counter(at_once(*(lambda api=api: buy(api) for api in buyers)))

    bought = AccessToken.objects.get()
    assert {status for status, _ in responses} <= {200, 409}
    assert len({token for status, token in responses if status == 200}) == 1
    assert {code for status, code in responses if status == 409} <= {"idempotency_in_progress"}
    assert bought.cost == 10
    assert ledger.balance(alice) == 90


SHOP = """
import json, sys, time
from pathlib import Path
import django
django.setup()
from conftest import client_of, fund
from accounts.models import User

def wait_for_the_start():
    Path(sys.argv[2]).touch()
    while not Path("start").exists():
        time.sleep(0.01)

if sys.argv[1] == "open":
    from django.core.management import call_command
    call_command("migrate", verbosity=0)
    fund(User.objects.create_user("alice@example.com", "alice", None), "10")
elif sys.argv[1] == "buy":
    api = client_of(User.objects.get())
    wait_for_the_start()
    buy = lambda: api.post("/api/v1/tokens/purchase", {"duration_hours": 12}).status_code
    print(json.dumps([buy() for _ in range(10)]))
else:
    from access.models import AccessToken
    from billing import ledger, verification
    balance = ledger.balance(User.objects.get())
    print(json.dumps([AccessToken.objects.count(), balance == 0, len(verification.verify())]))
"""


@pytest.mark.embedded
def test_several_processes_on_one_sqlite_file(tmp_path: Path) -> None:  # case A5
    (tmp_path / "shop.py").write_text(SHOP)
    environment = {
        **os.environ,
        "ALLOWED_HOSTS": "testserver",
        "DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "zenzefi.settings",
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("DATABASE_URL", None)

    def shop(*arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "shop.py", *arguments]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE)

    def output(process: subprocess.Popen[bytes]) -> bytes:
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        return printed

    output(shop("open"))
    buyers = [shop("buy", f"ready{number}") for number in range(4)]
    while len(list(tmp_path.glob("ready*"))) < len(buyers) and all(buyer.poll() is None for buyer in buyers):
        time.sleep(0.02)
    (tmp_path / "start").touch()

    statuses = Counter(status for buyer in buyers for status in json.loads(output(buyer)))
    assert statuses == {200: 1, 402: 39}
    assert json.loads(output(shop("look"))) == [1, True, 0]
