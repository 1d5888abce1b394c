"""Cutoffs by another process take effect on every worker within two seconds, even if the message is lost."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import httpx
import pytest
from django.conf import settings
from django.utils import timezone

from access import services
from access.models import AccessToken
from access.signals import access_revoked
from accounts.jwt import issue_access
from accounts.services import set_active
from billing.idempotency import Call
from conftest import fund
from proxy.tests.support.cutoffs import assert_aborted
from proxy.tests.support.processes import database_url
from proxy.tests.support.websockets import read_close
from zenzefi.tests.support.command import ROOT, environment_of

# The guaranteed limit is 2 s; the rest allows for a busy machine.
LIMIT = 2.5

INVALID = (4401, "invalid_token", 401)
BLOCKED = (4403, "user_inactive", 403)
FROZEN = (4403, "token_frozen", 403)
RESET = (4409, "device_conflict", None)


def call(worker, user, method, path, body=None):
    """Call the API of a worker. Return the JSON of the response."""
    headers = {"Authorization": f"Bearer {issue_access(user)}"}
    response = httpx.request(method, f"{worker.url}/api/v1{path}", headers=headers, json=body, timeout=20)
    assert response.status_code == 200, response.text
    return response.json()


class Connections:
    """An open WebSocket and an event stream of one token through one worker."""

    def __init__(self, worker, sold, open_until):
        self._worker, self._sold = worker, sold
        self.socket = open_until.enter_context(worker.socket("/ws/echo", sold, proxy=None, close_timeout=2))
        stream = httpx.stream("GET", f"{worker.proxy_url}/events?interval=0.1", headers=sold.headers, timeout=20)
        self._pieces = open_until.enter_context(stream).iter_raw()
        self.assert_open()

    def assert_open(self):
        """Assert that both connections still transfer data."""
        self.socket.send("still here")
        assert self.socket.recv(timeout=5) == "still here"
        assert next(self._pieces)

    def assert_cut_off(self, outcome, since):
        """Assert that both end in time after `since`, and that the next request is denied with the same code."""
        close_code, code, status = outcome
        ended = []

        def watch_stream():
            assert_aborted(self._pieces)
            ended.append(time.monotonic())

        watching = threading.Thread(target=watch_stream)
        watching.start()
        assert read_close(self.socket, LIMIT + 1) == (close_code, code)
        ended.append(time.monotonic())
        watching.join()
        assert len(ended) == 2
        assert max(ended) - since < LIMIT
        response = self._worker.get("/echo", self._sold)
        assert (response.status_code, response.headers.get("X-Zenzefi-Error")) == (status or 200, status and code)


@pytest.fixture
def open_until():
    with contextlib.ExitStack() as stack:
        yield stack


def manage(tmp_path, script, **given):
    """Start `manage.py shell` with a script, on the database and the Redis of the gateways."""
    shared = {
        "DATABASE_URL": database_url(),
        "REDIS_URL": settings.REDIS_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "TOKEN_ENCRYPTION_KEYS": ",".join(settings.TOKEN_ENCRYPTION_KEYS),
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--verbosity=0", "-c", script],
        cwd=ROOT,
        env=environment_of(tmp_path, **(shared | given)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def revocation_script(sold, olga, more=""):
    """Return a script that revokes a token by force and prints `revoked`."""
    return f"""
import os, signal
from django.db import transaction
from access import services
from accounts.models import User
olga = User.objects.get(pk="{olga.pk}")
with transaction.atomic():
    {more}
    services.revoke_by_force("{sold.token.pk}", actor=olga, reason="test")
print("revoked", flush=True)
"""


# --- Through another worker's API


def _refund(worker, sold, alice, olga):
    response = call(worker, alice, "DELETE", f"/tokens/{sold.token.pk}")
    assert response["refund_amount"] > 0


def _revoke_without_refund(worker, sold, alice, olga):
    """Revoke the token as its owner when nothing is left to refund."""
    now = timezone.now()
    AccessToken.objects.filter(pk=sold.token.pk).update(
        created_at=now - timedelta(minutes=59, seconds=59), activated_at=now - timedelta(hours=1),
        expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    response = call(worker, alice, "DELETE", f"/tokens/{sold.token.pk}")
    assert response["refund_amount"] == 0


def _revoke_by_force(worker, sold, alice, olga):
    call(worker, olga, "DELETE", f"/admin/tokens/{sold.token.pk}")


def _block(worker, sold, alice, olga):
    call(worker, olga, "PATCH", f"/admin/users/{alice.pk}", {"is_active": False, "reason": "test"})


def _reset_device(worker, sold, alice, olga):
    call(worker, alice, "POST", f"/tokens/{sold.token.pk}/reset-device")


# case D60
@pytest.mark.services
@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (_refund, INVALID),
        (_revoke_without_refund, INVALID),
        (_revoke_by_force, INVALID),
        (_block, BLOCKED),
        (_reset_device, RESET),
    ],
)
def test_a_cutoff_through_one_worker_takes_effect_on_the_other(
    workers, open_until, alice, olga, alice_token, bob_token, act, outcome
):
    a, b = workers
    of_alice, of_bob = Connections(b, alice_token, open_until), Connections(b, bob_token, open_until)
    act(a, alice_token, alice, olga)
    of_alice.assert_cut_off(outcome, time.monotonic())
    of_bob.assert_open()


# case D60
@pytest.mark.services
def test_an_expiry_takes_effect_on_every_worker(workers, open_until, alice_token):
    end = timezone.now() + timedelta(seconds=2)
    AccessToken.objects.update(created_at=end - timedelta(hours=1), expires_at=end)
    connections = [Connections(worker, alice_token, open_until) for worker in workers]
    left = (end - timezone.now()).total_seconds()
    assert left > 0
    time.sleep(left)
    since = time.monotonic()
    for each in connections:
        each.assert_cut_off((4401, "token_expired", 401), since)


# case D60
@pytest.mark.services
def test_an_extension_through_one_worker_moves_the_deadline_on_the_other(workers, open_until, alice, alice_token):
    a, b = workers
    end = timezone.now() + timedelta(seconds=3)
    AccessToken.objects.update(created_at=end - timedelta(hours=1), expires_at=end)
    connections = Connections(b, alice_token, open_until)
    fund(alice, "1")
    call(a, alice, "POST", f"/tokens/{alice_token.token.pk}/extend", {"duration_hours": 1})
    while timezone.now() < end + timedelta(seconds=1.5):
        connections.assert_open()
    shown = b.get("/echo", alice_token).headers["X-Zenzefi-Expires-At"]
    assert shown == (end + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- Without the message: the next poll reads the row


def _refund_here(sold, alice, olga):
    services.revoke_with_refund(Call(alice, "test", "", None), sold.token.pk)


def _revoke_here(sold, alice, olga):
    services.revoke_by_force(sold.token.pk, actor=olga, reason="test")


def _freeze_here(sold, alice, olga):
    services.freeze(sold.token.pk, actor=olga, reason="test")


def _block_here(sold, alice, olga):
    set_active(alice, False, actor=olga, reason="test")


def _reset_here(sold, alice, olga):
    services.reset_device(alice, sold.token.pk)


# case D60
@pytest.mark.services
@pytest.mark.parametrize("pushed", [True, False], ids=["pushed", "push lost"])
@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (_refund_here, INVALID),
        (_revoke_here, INVALID),
        (_freeze_here, FROZEN),
        (_block_here, BLOCKED),
        (_reset_here, RESET),
    ],
)
def test_a_cutoff_by_another_process(
    workers, open_until, alice, olga, alice_token, monkeypatch, act, outcome, pushed
):
    if not pushed:
        monkeypatch.setattr(access_revoked, "receivers", [])
    connections = [Connections(worker, alice_token, open_until) for worker in workers]
    act(alice_token, alice, olga)
    since = time.monotonic()
    for each in connections:
        each.assert_cut_off(outcome, since)


# case D60
@pytest.mark.services
@pytest.mark.parametrize("redis_url", [None, "redis://127.0.0.1:1/0"], ids=["pushed", "push lost"])
def test_a_cutoff_by_a_command(workers, open_until, olga, alice_token, tmp_path, redis_url):
    connections = Connections(workers[1], alice_token, open_until)
    given = {"REDIS_URL": redis_url} if redis_url else {}
    with manage(tmp_path, revocation_script(alice_token, olga), **given) as command:
        assert command.stdout.readline() == "revoked\n"
        connections.assert_cut_off(INVALID, time.monotonic())
        assert command.wait(10) == 0


# case D60
@pytest.mark.services
def test_a_revocation_by_a_process_killed_before_its_message(workers, open_until, olga, alice_token, tmp_path):
    connections = Connections(workers[1], alice_token, open_until)
    # The first action after the commit.
    die = "transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))"
    with manage(tmp_path, revocation_script(alice_token, olga, die)) as command:
        assert command.stdout.readline() == ""
        since = time.monotonic()
        assert command.wait(10) == -signal.SIGKILL
        assert alice_token.stored().revoked_at is not None
        connections.assert_cut_off(INVALID, since)


# case D60
def test_a_command_and_an_embedded_gateway(
    start_gateway_process, demo_upstream, open_until, olga, alice_token, tmp_path
):
    gateway = start_gateway_process(demo_upstream.url)
    gateway.wait_ready()
    connections = Connections(gateway, alice_token, open_until)
    with manage(tmp_path, revocation_script(alice_token, olga)) as command:
        assert command.stdout.readline() == "revoked\n"
        connections.assert_cut_off(INVALID, time.monotonic())
        assert command.wait(10) == 0
