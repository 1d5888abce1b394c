"""The servers for comparison: nginx alone and as a proxy, and fastapi-proxy-lib."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.processes import environment, executable, free_ports, running

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
        server {target};
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
        # The fastest configuration for a download. The default writes a temporary file, which is slower.
        location = /1g {{
            proxy_pass http://target;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffers 16 64k;
            proxy_buffer_size 64k;
            proxy_max_temp_file_size 0;
        }}
    }}
"""
FILES = {"1k": 2**10, "100k": 100 * 2**10, "1g": 2**30}


@dataclass(frozen=True)
class Server:
    """A measured server and the URL at which it serves the upstream."""

    name: str
    url: str


@contextlib.contextmanager
def nginx_alone(directory: Path) -> Iterator[Server]:
    """Run the upstream of the other servers: it serves the files, and "ok" at `/upload`."""
    files = directory / "www"
    files.mkdir(parents=True)
    for name, size in FILES.items():
        with (files / name).open("wb") as file:
            file.truncate(size)  # sparse, so that 1 GiB takes no disk space
    with _nginx("nginx direct", directory, _STATIC) as server:
        yield server


@contextlib.contextmanager
def nginx_as_proxy(directory: Path, upstream: Server) -> Iterator[Server]:
    directory.mkdir()
    with _nginx("nginx as proxy", directory, _PROXY, target=upstream.url.removeprefix("http://")) as server:
        yield server


@contextlib.contextmanager
def _nginx(name: str, directory: Path, content: str, **names: str) -> Iterator[Server]:
    (port,) = free_ports(1)
    # If root starts nginx, its workers run as another user, who may not read the temporary directory.
    user = "user root root;" if os.geteuid() == 0 else ""
    config = directory / "nginx.conf"
    config.write_text(
        _NGINX.format(directory=directory, user=user, content=content.format(directory=directory, port=port, **names))
    )
    command = [executable("nginx"), "-p", str(directory), "-c", str(config), "-e", "stderr"]
    server = Server(name, f"http://127.0.0.1:{port}")
    with running(command, directory.with_suffix(".log"), environment(), lambda: responds(f"{server.url}/1k")):
        yield server


def fastapi_proxy_lib(directory: Path, upstream: Server) -> contextlib.AbstractContextManager[Server]:
    env = environment(BENCH_UPSTREAM=f"{upstream.url}/")
    return asgi("fastapi-proxy-lib", "bench.baseline:app", directory, env, "--factory", path="/1k")


@contextlib.contextmanager
def asgi(
    name: str, app: str, directory: Path, env: dict[str, str], *options: str, path: str = "/"
) -> Iterator[Server]:
    """Run an ASGI application in uvicorn with the gateway's options; it is ready when `path` responds."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "uvicorn", app, *options, "--port", str(port), "--loop", "uvloop"]
    command += ["--http", "httptools", "--no-access-log", "--log-level", "warning"]
    command += ["--no-proxy-headers", "--no-server-header", "--no-date-header"]
    server = Server(name, f"http://127.0.0.1:{port}")
    log = directory / f"{app.replace(':', '.')}.log"
    with running(command, log, env, lambda: responds(server.url + path)):
        yield server


def responds(url: str) -> bool:
    """Return whether the URL returns 200."""
    try:
        return httpx.get(url, trust_env=False, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
