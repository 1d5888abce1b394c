"""What one process takes away ends on every worker within two seconds, however the news of it gets lost."""

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

# The promise is 2 s; the rest is for what a busy machine takes to tell a test of it.
LIMIT = 2.5

INVALID = (4401, "invalid_token", 401)
BLOCKED = (4403, "user_inactive", 403)
FROZEN = (4403, "token_frozen", 403)
RESET = (4409, "device_conflict", None)


def call(worker, user, method, path, body=None):
    """One call of a worker's API."""
    headers = {"Authorization": f"Bearer {issue_access(user)}"}
    response = httpx.request(method, f"{worker.url}/api/v1{path}", headers=headers, json=body, timeout=20)
    assert response.status_code == 200, response.text
    return response.json()


class Carried:
    """A WebSocket and an event stream of a token, open through one worker."""

    def __init__(self, worker, sold, open_until):
        self._worker, self._sold = worker, sold
        self.socket = open_until.enter_context(worker.socket("/ws/echo", sold, proxy=None, close_timeout=2))
        stream = httpx.stream("GET", f"{worker.proxy_url}/events?interval=0.1", headers=sold.headers, timeout=20)
        self._pieces = open_until.enter_context(stream).iter_raw()
        self.goes_on()

    def goes_on(self):
        self.socket.send("still here")
        assert self.socket.recv(timeout=5) == "still here"
        assert next(self._pieces)

    def ends(self, outcome, since):
        """Both end within the limit after `since`, for this reason, and the next request is refused for it."""
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
    """Start `manage.py shell` with a script, beside the gateways."""
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


def revoking(sold, olga, more=""):
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


def _revoke_what_is_worth_nothing(worker, sold, alice, olga):
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
        (_revoke_what_is_worth_nothing, INVALID),
        (_revoke_by_force, INVALID),
        (_block, BLOCKED),
        (_reset_device, RESET),
    ],
)
def test_what_one_worker_takes_away_ends_on_the_other(
    workers, open_until, alice, olga, alice_token, bob_token, act, outcome
):
    a, b = workers
    carried, of_bob = Carried(b, alice_token, open_until), Carried(b, bob_token, open_until)
    act(a, alice_token, alice, olga)
    carried.ends(outcome, time.monotonic())
    of_bob.goes_on()


# case D60
@pytest.mark.services
def test_expiry_ends_it_on_every_worker(workers, open_until, alice_token):
    end = timezone.now() + timedelta(seconds=2)
    AccessToken.objects.update(created_at=end - timedelta(hours=1), expires_at=end)
    carried = [Carried(worker, alice_token, open_until) for worker in workers]
    left = (end - timezone.now()).total_seconds()
    assert left > 0
    time.sleep(left)
    since = time.monotonic()
    for one in carried:
        one.ends((4401, "token_expired", 401), since)


# case D60
@pytest.mark.services
def test_an_extension_through_one_worker_moves_the_deadline_on_the_other(workers, open_until, alice, alice_token):
    a, b = workers
    end = timezone.now() + timedelta(seconds=3)
    AccessToken.objects.update(created_at=end - timedelta(hours=1), expires_at=end)
    carried = Carried(b, alice_token, open_until)
    fund(alice, "1")
    call(a, alice, "POST", f"/tokens/{alice_token.token.pk}/extend", {"duration_hours": 1})
    while timezone.now() < end + timedelta(seconds=1.5):
        carried.goes_on()
    shown = b.get("/echo", alice_token).headers["X-Zenzefi-Expires-At"]
    assert shown == (end + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- Where the message is lost: the row is read by the next poll


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
def test_what_another_process_takes_away(
    workers, open_until, alice, olga, alice_token, monkeypatch, act, outcome, pushed
):
    if not pushed:
        monkeypatch.setattr(access_revoked, "receivers", [])
    carried = [Carried(worker, alice_token, open_until) for worker in workers]
    act(alice_token, alice, olga)
    since = time.monotonic()
    for one in carried:
        one.ends(outcome, since)


# case D60
@pytest.mark.services
@pytest.mark.parametrize("redis_url", [None, "redis://127.0.0.1:1/0"], ids=["pushed", "push lost"])
def test_what_a_command_takes_away(workers, open_until, olga, alice_token, tmp_path, redis_url):
    carried = Carried(workers[1], alice_token, open_until)
    given = {"REDIS_URL": redis_url} if redis_url else {}
    with manage(tmp_path, revoking(alice_token, olga), **given) as command:
        assert command.stdout.readline() == "revoked\n"
        carried.ends(INVALID, time.monotonic())
        assert command.wait(10) == 0


# case D60
@pytest.mark.services
def test_what_was_committed_by_a_process_that_was_killed_before_it_could_tell(
    workers, open_until, olga, alice_token, tmp_path
):
    carried = Carried(workers[1], alice_token, open_until)
    # The first of what is done after the commit.
    die = "transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))"
    with manage(tmp_path, revoking(alice_token, olga, die)) as command:
        assert command.stdout.readline() == ""
        since = time.monotonic()
        assert command.wait(10) == -signal.SIGKILL
        assert alice_token.stored().revoked_at is not None
        carried.ends(INVALID, since)


# case D60
def test_a_command_beside_an_embedded_gateway(
    start_gateway_process, demo_upstream, open_until, olga, alice_token, tmp_path
):
    gateway = start_gateway_process(demo_upstream.url)
    gateway.wait_ready()
    carried = Carried(gateway, alice_token, open_until)
    with manage(tmp_path, revoking(alice_token, olga)) as command:
        assert command.stdout.readline() == "revoked\n"
        carried.ends(INVALID, time.monotonic())
        assert command.wait(10) == 0
