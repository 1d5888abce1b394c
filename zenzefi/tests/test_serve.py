"""The main command, as a new user runs it, in its own process on free ports."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from zenzefi.tests.support.command import READY_SECONDS, ROOT, Serve, environment_of, free_port, wait_until

pytestmark = pytest.mark.embedded


def test_the_first_minute(serve: Serve, tmp_path: Path) -> None:
    command = serve()
    said = command.wait_ready()

    assert f"Zenzefi is ready: http://127.0.0.1:{command.port}\n" in said
    curl = re.search(r"curl -H '(.+?): (.+?)' -H '(.+?): (.+?)' (\S+)", said)
    assert curl is not None
    page = httpx.get(curl[5], headers={curl[1]: curl[2], curl[3]: curl[4]})
    assert page.status_code == 200
    assert "Zenzefi demo server" in page.text

    logins = re.findall(r"(\S+@\S+)  password (\S+)", said)
    assert len(logins) == 2
    with httpx.Client(base_url=f"http://127.0.0.1:{command.port}/api/v1") as client:
        for email, password in logins:
            response = client.post("/auth/login", json={"email": email, "password": password})
            assert response.status_code == 200
        jwt = {"Authorization": f"Bearer {response.json()['access_token']}"}
        assert client.get("/currency/balance", headers=jwt).json()["balance"] == 700
        assert client.get("/tokens/my-tokens?active_only=true", headers=jwt).json()["total"] == 1

        # A background job of the same process sends the e-mail.
        assert client.patch("/users/me", json={"password": "another-good-1"}, headers=jwt).status_code == 200
        wait_until(lambda: f"To: {email}" in command.output)

    assert httpx.get(f"http://127.0.0.1:{command.port}/health").json()["status"] == "healthy"
    assert command.end(signal.SIGINT) == 0
    assert command.processes() == []

    started = time.monotonic()
    second = serve()
    again = second.wait_ready()
    took = time.monotonic() - started
    assert re.findall(r"curl .*X-Access-Token: (\S+)'", again) == [curl[2]]
    assert re.findall(r"(\S+@\S+)  password (\S+)", again) == logins
    assert took < READY_SECONDS
    assert second.end(signal.SIGTERM) == 0
    assert second.processes() == []


def test_the_end_of_the_terminal_ends_it(serve: Serve) -> None:
    # Under nohup, the gateway would inherit that SIGHUP is ignored.
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    command = serve()
    signal.signal(signal.SIGHUP, inherited)
    command.wait_ready()

    assert command.end(signal.SIGHUP) == 0
    assert command.processes() == []


# Like a `make` that leads the session: the kernel sends SIGHUP to it only, and it waits for its child.
TERMINAL = """
import os, pty, signal, subprocess, sys
leader, terminal = pty.fork()
if leader == 0:
    signal.signal(signal.SIGHUP, lambda *_: None)
    os._exit(subprocess.call([sys.executable, "manage.py", "serve"]))
said = b""
while b"Press Ctrl-C to stop." not in said:
    said += os.read(terminal, 4096)
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(leader, 0)[1]))
"""


def test_it_ends_with_its_terminal_if_only_its_parent_gets_the_signal(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", TERMINAL],
        cwd=ROOT,
        env=environment_of(tmp_path),
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr


# case G83
def test_a_port_in_use_is_one_sentence(serve: Serve) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = serve(PORT=str(port))

        assert command.process.wait(READY_SECONDS) == 1
        assert command.output == (
            f"Port {port} on 127.0.0.1 is already in use. Stop the other program or set PORT.\n"
        )


def test_an_own_upstream_replaces_the_demo_server(serve: Serve) -> None:
    unused = free_port()
    command = serve(ZENZEFI_TARGET_URL=f"http://127.0.0.1:{unused}")
    said = command.wait_ready()

    token = re.search(r"X-Access-Token: (\S+)'", said)
    assert token is not None
    response = httpx.get(
        f"http://127.0.0.1:{command.port}/api/v1/proxy/",
        headers={"X-Access-Token": token[1], "X-Device-ID": "a-device-id"},
    )
    assert (response.status_code, response.json()["code"]) == (502, "upstream_unreachable")
    assert command.end(signal.SIGINT) == 0


def test_an_operator_is_made_from_the_environment(serve: Serve) -> None:
    command = serve(DJANGO_SUPERUSER_EMAIL="Root@Example.com", DJANGO_SUPERUSER_PASSWORD="a-strong-one-77")
    command.wait_ready()
    base = f"http://127.0.0.1:{command.port}/api/v1"
    login = httpx.post(f"{base}/auth/login", json={"email": "root@example.com", "password": "a-strong-one-77"})

    users = httpx.get(f"{base}/admin/users", headers={"Authorization": f"Bearer {login.json()['access_token']}"})
    assert users.status_code == 200
    assert users.json()["total"] == 3


@pytest.mark.services
def test_with_redis_one_worker_and_one_beat_run_as_well(serve: Serve) -> None:
    command = serve(REDIS_URL=os.environ["REDIS_URL"])
    command.wait_ready()

    listing = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(command.process.pid)], capture_output=True, text=True, check=True
    ).stdout
    assert (listing.count("zenzefi worker"), listing.count("zenzefi beat")) == (1, 1)
    assert command.end(signal.SIGTERM) == 0
    wait_until(lambda: command.processes() == [])


@pytest.mark.services
def test_the_jobs_end_with_a_killed_gateway(serve: Serve) -> None:
    command = serve(REDIS_URL=os.environ["REDIS_URL"])
    command.wait_ready()

    command.end(signal.SIGKILL)

    wait_until(lambda: command.processes() == [])
