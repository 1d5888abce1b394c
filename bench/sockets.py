"""WebSocket messages per second with an echo server, directly and through Zenzefi."""

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

from bench.gateway import Gateway, zenzefi
from bench.goals import Figure, Findings
from bench.processes import ROOT, BenchFailed, environment, free_ports, is_listening, running
from bench.servers import Server
from bench.stage import Stage

_TITLE = "WebSocket echo, 256 B"
_CONNECTIONS, _MESSAGE_BYTES = 20, 256
_WARM_UP_SECONDS = 1


def measure(stage: Stage) -> Findings:
    """Measure both in turns. The gateway counts each message twice, once in each direction."""
    with _echo(stage) as direct, zenzefi(stage.directory / "zenzefi-echo", stage.python, direct) as gateway:
        played: dict[str, list[dict[str, float]]] = {direct.name: [], gateway.name: []}
        for server in (direct, gateway):
            _play(server, gateway.headers, _WARM_UP_SECONDS)
        before = gateway.session()
        for number in range(stage.rounds):
            for server in (direct, gateway):
                played[server.name].append(_play(server, gateway.headers, stage.seconds))
                rate = f"{played[server.name][-1]['per_second']:,.0f}/s"
                print(f"{_TITLE}, round {number + 1}: {server.name} {rate}", file=sys.stderr)
        _check_count(gateway, before, played[gateway.name])
    figures = [_figure(name, rounds) for name, rounds in played.items()]
    return Findings(figures, {"websockets": figures[1].rate / figures[0].rate})


@contextlib.contextmanager
def _echo(stage: Stage) -> Iterator[Server]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "bench.echo_server", str(port)]
    with running(command, stage.directory / "echo.log", environment(), lambda: is_listening(port)):
        yield Server("direct", f"http://127.0.0.1:{port}")


def _play(server: Server, headers: dict[str, str], seconds: int) -> dict[str, float]:
    """Run the client once. Raises `BenchFailed` if an echo is wrong or a connection has none."""
    url = server.url.replace("http://", "ws://") + "/echo"
    arguments = [url, str(_CONNECTIONS), str(_MESSAGE_BYTES), str(seconds), json.dumps(headers)]
    command = [sys.executable, "-m", "bench.echo_client", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchFailed(f"The WebSocket client failed against {server.name}:\n{done.stderr[-2000:].strip()}")
    measured: dict[str, float] = json.loads(done.stdout)
    if measured["wrong"] or not measured["slowest"]:
        raise BenchFailed(f"{server.name} returned wrong or missing echoes: {measured}.")
    return measured


def _check_count(gateway: Gateway, before: dict[str, int], rounds: list[dict[str, float]]) -> None:
    after = gateway.session()
    counted = {name: after[name] - before[name] for name in ("request_count", "bytes_transferred")}
    messages = sum(int(measured["messages"]) for measured in rounds)
    expected = {
        "request_count": len(rounds) * _CONNECTIONS,
        "bytes_transferred": 2 * messages * _MESSAGE_BYTES,
    }
    if counted != expected:
        raise BenchFailed(f"{gateway.name} counted {counted} instead of {expected} for {messages:,} messages.")


def _figure(name: str, rounds: list[dict[str, float]]) -> Figure:
    rate, p50, p99 = (statistics.median(each[key] for each in rounds) for key in ("per_second", "p50", "p99"))
    return Figure(_TITLE, name, rate, "messages", p50, p99)
