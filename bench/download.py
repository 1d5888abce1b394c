"""The download of 1 GiB over one connection, by a client that discards what it reads."""

import re
import socket
import statistics
import sys
import time
from urllib.parse import urlsplit

from bench.gateway import Gateway
from bench.goals import Figure, Findings
from bench.processes import BenchFailed
from bench.servers import FILES, Server
from bench.stage import Stage

_TITLE = "download 1 GiB"
_PATH, _SIZE = "/1g", FILES["1g"]
_READ_BYTES = 256 * 1024
_TIMEOUT = 60


def measure(stage: Stage) -> Findings:
    """Measure the download directly, through nginx and through Zenzefi in turns; check the counted bytes."""
    servers = [stage.direct, stage.nginx, stage.zenzefi]
    _download(stage.direct, {})  # loads the file into memory
    before = stage.zenzefi.session()["bytes_transferred"]
    rates: dict[str, list[float]] = {server.name: [] for server in servers}
    for number in range(stage.rounds):
        for server in servers:
            rate = _SIZE / _download(server, stage.zenzefi.headers)
            rates[server.name].append(rate)
            print(f"{_TITLE}, round {number + 1}: {server.name} {rate / 1e6:,.0f} MB/s", file=sys.stderr)
    _check_count(stage.zenzefi, stage.zenzefi.session()["bytes_transferred"] - before, stage.rounds * _SIZE)
    medians = {name: statistics.median(each) for name, each in rates.items()}
    figures = [Figure(_TITLE, name, rate / 1e6, "MB") for name, rate in medians.items()]
    return Findings(figures, {"download": medians[stage.zenzefi.name] / medians[stage.nginx.name]})


def _check_count(gateway: Gateway, counted: int, downloaded: int) -> None:
    if counted != downloaded:
        raise BenchFailed(f"{gateway.name} counted {counted:,} bytes of downloads instead of {downloaded:,}.")


def _download(server: Server, headers: dict[str, str]) -> float:
    """Download the file and return the seconds it took. Raises `BenchFailed` if the file is not complete."""
    url = urlsplit(server.url + _PATH)
    lines = [f"GET {url.path} HTTP/1.1", f"Host: {url.netloc}", *(f"{name}: {headers[name]}" for name in headers)]
    buffer = bytearray(_READ_BYTES)
    since = time.perf_counter()
    with socket.create_connection((url.hostname, url.port), _TIMEOUT) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head, received = _head(connection)
        while received < _SIZE and (count := connection.recv_into(buffer)):
            received += count
    seconds = time.perf_counter() - since
    length = re.search(rb"\r\ncontent-length: *(\d+)\r\n", head, re.IGNORECASE)
    if not head.startswith(b"HTTP/1.1 200 ") or not length or int(length[1]) != _SIZE or received != _SIZE:
        raise BenchFailed(f"{server.name} sent {received:,} bytes of {_SIZE:,} after this head:\n{head.decode()}")
    return seconds


def _head(connection: socket.socket) -> tuple[bytes, int]:
    """Read the response head; return it with the number of body bytes that arrived with it."""
    received = b""
    while b"\r\n\r\n" not in received and (more := connection.recv(_READ_BYTES)):
        received += more
    head, end, body = received.partition(b"\r\n\r\n")
    return head + end, len(body)
