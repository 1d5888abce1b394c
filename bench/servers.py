"""What is compared: nginx alone and as a proxy, fastapi-proxy-lib, and Zenzefi with a token bought over its API."""

import contextlib
import os
import re
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.processes import BenchFailed, environment, executable, free_ports, running

_PREFIX = "/api/v1/proxy"
# High enough never to refuse, and still counted; its window is about as full as the default's (6000/minute) can be.
_RATE_LIMIT = "100000/second"
_HOURS = 24

_NGINX = """\
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log stderr error;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path {directory}/client_body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    open_file_cache max=16;
    {content}
}}
"""
_STATIC = """
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {directory}/www;
        location = /upload {{ return 200 "ok"; }}
    }}
"""
_PROXY = """
    upstream target {{
        server 127.0.0.1:{upstream};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://target;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""
FILES = {"1k": 1024, "100k": 100 * 1024}


@dataclass(frozen=True)
class Server:
    """One contender: where its copy of the upstream begins."""

    name: str
    url: str


@dataclass(frozen=True)
class Gateway(Server):
    """Zenzefi, and the credentials that it admits."""

    headers: dict[str, str] = field(repr=False)

    def request_count(self) -> int:
        """What the gateway itself has counted for the token's session."""
        answer = httpx.get(f"{self.url}/status", headers=self.headers, trust_env=False)
        return int(_json(answer)["request_count"])


@dataclass(frozen=True)
class Contenders:
    direct: Server
    nginx: Server
    fastapi: Server
    zenzefi: Gateway


@contextlib.contextmanager
def contenders(directory: Path, gateway_python: Path) -> Iterator[Contenders]:
    """All four, started; ended on leaving."""
    upstream, *ports = free_ports(4)
    target = f"http://127.0.0.1:{upstream}"
    with contextlib.ExitStack() as stack:
        direct = stack.enter_context(_nginx("nginx direct", directory / "upstream", upstream, _STATIC))
        content = _PROXY.replace("{upstream}", str(upstream))
        nginx = stack.enter_context(_nginx("nginx as proxy", directory / "proxy", ports[0], content))
        fastapi = stack.enter_context(_fastapi(directory, ports[1], target))
        zenzefi = stack.enter_context(_zenzefi(directory, ports[2], target, gateway_python))
        yield Contenders(direct, nginx, fastapi, zenzefi)


@contextlib.contextmanager
def _nginx(name: str, directory: Path, port: int, content: str) -> Iterator[Server]:
    (directory / "www").mkdir(parents=True)
    for file, size in FILES.items():
        (directory / "www" / file).write_bytes(b"z" * size)
    # Started by root its worker would be another user, who may not read the temporary directory.
    user = "user root root;" if os.geteuid() == 0 else ""
    config = directory / "nginx.conf"
    config.write_text(
        _NGINX.format(directory=directory, user=user, content=content.format(directory=directory, port=port))
    )
    command = [executable("nginx"), "-p", str(directory), "-c", str(config), "-e", "stderr"]
    server = Server(name, f"http://127.0.0.1:{port}")
    with running(command, directory.with_suffix(".log"), environment(), lambda: _answers(f"{server.url}/1k")):
        yield server


@contextlib.contextmanager
def _fastapi(directory: Path, port: int, target: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "uvicorn", "bench.baseline:app", "--factory", "--port", str(port)]
    # uvicorn as the gateway runs it.
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    command += ["--no-proxy-headers", "--no-server-header", "--no-date-header"]
    server = Server("fastapi-proxy-lib", f"http://127.0.0.1:{port}")
    env = environment(BENCH_UPSTREAM=f"{target}/")
    with running(command, directory / "fastapi-proxy-lib.log", env, lambda: _answers(f"{server.url}/1k")):
        yield server


@contextlib.contextmanager
def _zenzefi(directory: Path, port: int, target: str, python: Path) -> Iterator[Gateway]:
    settings = environment(
        ENVIRONMENT="demo",
        ENV_FILE=os.devnull,
        DATA_DIR=str(directory / "data"),
        PORT=str(port),
        WORKERS="1",
        ZENZEFI_TARGET_URL=target,
        RATE_LIMIT_PROXY=_RATE_LIMIT,
    )
    log = directory / "zenzefi.log"
    url = f"http://127.0.0.1:{port}"
    with running([str(python), "manage.py", "serve"], log, settings, lambda: _customer(log) is not None):
        headers = {"X-Access-Token": _bought_token(url, log), "X-Device-ID": f"bench-{secrets.token_hex(8)}"}
        yield Gateway("Zenzefi", url + _PREFIX, headers)


def _customer(log: Path) -> tuple[str, str] | None:
    """The demo customer's e-mail and password, printed as soon as the gateway is ready."""
    found = re.search(r"^ *customer +(\S+) +password (\S+)", log.read_text(errors="replace"), re.MULTILINE)
    return (found[1], found[2]) if found else None


def _bought_token(url: str, log: Path) -> str:
    """A token, bought as any customer buys one."""
    email, password = _customer(log) or ("", "")
    with httpx.Client(base_url=f"{url}/api/v1", trust_env=False) as api:
        login = _json(api.post("/auth/login", json={"email": email, "password": password}))
        bearer = {"Authorization": f"Bearer {login['access_token']}"}
        bought = _json(api.post("/tokens/purchase", json={"duration_hours": _HOURS}, headers=bearer))
    return str(bought["token"])


def _json(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != 200:
        raise BenchFailed(f"{answer.request.url} answered {answer.status_code}: {answer.text[:500]}")
    content: dict[str, Any] = answer.json()
    return content


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
