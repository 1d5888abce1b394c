"""Zenzefi as a measured server, with the settings of a measurement and a token bought over its API."""

import contextlib
import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.processes import ROOT, BenchFailed, environment, executable, free_ports, is_listening, running
from bench.servers import Server

_PREFIX = "/api/v1/proxy"
# Never reached, but requests are counted. Its window fills about as much as that of the default (6000/minute).
_RATE_LIMIT = "100000/second"
_HOURS = 24
# Workers share their counts every three seconds.
_SHARED_SECONDS = 4


@dataclass(frozen=True)
class Gateway(Server):
    """A running Zenzefi, and credentials that it admits."""

    origin: str
    headers: dict[str, str] = field(repr=False)
    settings: dict[str, str] = field(repr=False)
    # Time after a load until the count of requests is complete.
    settle_seconds: int = 0

    def session(self) -> dict[str, Any]:
        """Return what the gateway has counted for the token's session."""
        return json_of(httpx.get(f"{self.url}/status", headers=self.headers, trust_env=False))

    def request_count(self) -> int:
        """Return the number of requests in the token's session, including those of other workers."""
        time.sleep(self.settle_seconds)
        return int(self.session()["request_count"])

    def metric(self, name: str) -> float:
        """Return a value of `/metrics` by its name and labels; 0 if it was never counted."""
        text = httpx.get(f"{self.origin}/metrics", trust_env=False).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


@contextlib.contextmanager
def zenzefi(directory: Path, python: Path, upstream: Server, **settings: str) -> Iterator[Gateway]:
    """Run Zenzefi, by default with one worker, SQLite and its state in memory."""
    (port,) = free_ports(1)
    origin = f"http://127.0.0.1:{port}"
    env = environment(
        **{
            "ENVIRONMENT": "demo",
            "ENV_FILE": os.devnull,
            "DATA_DIR": str(directory / "data"),
            "PORT": str(port),
            "WORKERS": "1",
            "ZENZEFI_TARGET_URL": upstream.url,
            "RATE_LIMIT_PROXY": _RATE_LIMIT,
            **settings,
        }
    )
    directory.mkdir()
    log = directory / "zenzefi.log"
    several = env["WORKERS"] != "1"
    name = f"Zenzefi, {env['WORKERS']} workers" if several else "Zenzefi"
    with running([str(python), "manage.py", "serve"], log, env, lambda: _customer(log) is not None):
        headers = {"X-Access-Token": _buy_token(origin, log), "X-Device-ID": f"bench-{secrets.token_hex(8)}"}
        yield Gateway(name, origin + _PREFIX, origin, headers, env, _SHARED_SECONDS if several else 0)


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[str]:
    """Run a Redis server that stores nothing on disk, and yield its URL."""
    (port,) = free_ports(1)
    command = [executable("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--dir", str(directory)]
    with running(command, directory / "redis.log", environment(), lambda: is_listening(port)):
        yield f"redis://127.0.0.1:{port}/0"


def _customer(log: Path) -> tuple[str, str] | None:
    """Return the demo customer's e-mail and password, which the gateway prints when it is ready."""
    found = re.search(r"^ *customer +(\S+) +password (\S+)", log.read_text(errors="replace"), re.MULTILINE)
    return (found[1], found[2]) if found else None


def _buy_token(origin: str, log: Path) -> str:
    """Buy a token over the API, as a customer does, and return its secret."""
    email, password = _customer(log) or ("", "")
    with httpx.Client(base_url=f"{origin}/api/v1", trust_env=False) as api:
        login = json_of(api.post("/auth/login", json={"email": email, "password": password}))
        bearer = {"Authorization": f"Bearer {login['access_token']}"}
        bought = json_of(api.post("/tokens/purchase", json={"duration_hours": _HOURS}, headers=bearer))
    return str(bought["token"])


def json_of(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON of a response. Raises `BenchFailed` unless its status is 200."""
    if response.status_code != 200:
        raise BenchFailed(f"{response.request.url} returned {response.status_code}: {response.text[:500]}")
    content: dict[str, Any] = response.json()
    return content


def run_seed(python: Path, gateway: Gateway, *arguments: str) -> str:
    """Run `bench.seed` with the gateway's settings and return its output."""
    command = [str(python), "-m", "bench.seed", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=gateway.settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchFailed(f"bench.seed failed:\n{done.stderr[-2000:].strip()}")
    return done.stdout
