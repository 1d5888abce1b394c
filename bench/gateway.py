"""Zenzefi as a contender: started with the settings of a measurement, with a token bought over its API."""

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

from bench.processes import ROOT, BenchFailed, environment, executable, free_ports, listens, running
from bench.servers import Server

_PREFIX = "/api/v1/proxy"
# High enough never to refuse, and still counted; its window is about as full as the default's (6000/minute) can be.
_RATE_LIMIT = "100000/second"
_HOURS = 24
# Workers tell each other what they counted every three seconds.
_SHARED_SECONDS = 4


@dataclass(frozen=True)
class Gateway(Server):
    """Zenzefi, and the credentials that it admits."""

    origin: str
    headers: dict[str, str] = field(repr=False)
    settings: dict[str, str] = field(repr=False)
    # How long after a load its count is complete.
    settle_seconds: int = 0

    def session(self) -> dict[str, Any]:
        """What the gateway itself has counted for the token's session."""
        return checked(httpx.get(f"{self.url}/status", headers=self.headers, trust_env=False))

    def request_count(self) -> int:
        """All requests of the token's session until now, those of other workers too."""
        time.sleep(self.settle_seconds)
        return int(self.session()["request_count"])

    def metric(self, name: str) -> float:
        """A figure of `/metrics` by its name and labels; 0 where it was never counted."""
        text = httpx.get(f"{self.origin}/metrics", trust_env=False).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


@contextlib.contextmanager
def zenzefi(directory: Path, python: Path, upstream: Server, **settings: str) -> Iterator[Gateway]:
    """One worker with SQLite and its state in memory, where `settings` say nothing else."""
    (port,) = free_ports(1)
    origin = f"http://127.0.0.1:{port}"
    wanted = environment(
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
    several = wanted["WORKERS"] != "1"
    name = f"Zenzefi, {wanted['WORKERS']} workers" if several else "Zenzefi"
    with running([str(python), "manage.py", "serve"], log, wanted, lambda: _customer(log) is not None):
        headers = {"X-Access-Token": _bought_token(origin, log), "X-Device-ID": f"bench-{secrets.token_hex(8)}"}
        yield Gateway(name, origin + _PREFIX, origin, headers, wanted, _SHARED_SECONDS if several else 0)


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[str]:
    """A Redis of the benchmark's own, which keeps nothing on disk; gives its URL."""
    (port,) = free_ports(1)
    command = [executable("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--dir", str(directory)]
    with running(command, directory / "redis.log", environment(), lambda: listens(port)):
        yield f"redis://127.0.0.1:{port}/0"


def _customer(log: Path) -> tuple[str, str] | None:
    """The demo customer's e-mail and password, printed as soon as the gateway is ready."""
    found = re.search(r"^ *customer +(\S+) +password (\S+)", log.read_text(errors="replace"), re.MULTILINE)
    return (found[1], found[2]) if found else None


def _bought_token(origin: str, log: Path) -> str:
    """A token, bought as any customer buys one."""
    email, password = _customer(log) or ("", "")
    with httpx.Client(base_url=f"{origin}/api/v1", trust_env=False) as api:
        login = checked(api.post("/auth/login", json={"email": email, "password": password}))
        bearer = {"Authorization": f"Bearer {login['access_token']}"}
        bought = checked(api.post("/tokens/purchase", json={"duration_hours": _HOURS}, headers=bearer))
    return str(bought["token"])


def checked(answer: httpx.Response) -> dict[str, Any]:
    """The JSON of a good answer."""
    if answer.status_code != 200:
        raise BenchFailed(f"{answer.request.url} answered {answer.status_code}: {answer.text[:500]}")
    content: dict[str, Any] = answer.json()
    return content


def seed(python: Path, gateway: Gateway, *arguments: str) -> str:
    """What `bench.seed` says with the gateway's settings."""
    command = [str(python), "-m", "bench.seed", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=gateway.settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchFailed(f"bench.seed failed:\n{done.stderr[-2000:].strip()}")
    return done.stdout
