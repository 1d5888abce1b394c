"""`WORKERS=2`: two gateway processes on one port, which their parent supervises and replaces."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from zenzefi.tests.support.command import READY_SECONDS, Command, Serve, free_port, is_refused, wait_until

pytestmark = pytest.mark.services


def two_workers() -> dict[str, str]:
    return {"WORKERS": "2", "REDIS_URL": os.environ["REDIS_URL"], "RATE_LIMIT_PROXY": ""}


@pytest.fixture
def serve_two(serve: Serve) -> Any:
    """Return a function that starts the main command with two workers and a new database."""

    def start(**settings: str) -> Command:
        return serve(**{**two_workers(), **settings})

    return start


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: Any) -> Iterator[Command]:
    """Yield a gateway with two workers. Tests may disturb them if they recover."""
    command = Command(tmp_path_factory.mktemp("workers"), **two_workers())
    command.wait_ready()
    yield command
    try:
        assert command.end(signal.SIGTERM) == 0
    finally:
        command.process.kill()


def children(command: Command, part: str) -> list[int]:
    """Return the ids of the parent's living children whose command line contains this part."""
    listing = subprocess.run(
        ["ps", "-ww", "-o", "pid=,stat=,args=", "--ppid", str(command.process.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [line.split(maxsplit=2) for line in listing.stdout.splitlines()]
    return [int(pid) for pid, state, arguments in rows if part in arguments and not state.startswith("Z")]


def workers(command: Command) -> list[int]:
    return children(command, "--worker")


def metrics_folder(pid: int) -> str:
    """Return the folder of the metrics that the process shares, or an empty text if it shares none."""
    variables = dict(entry.partition("=")[::2] for entry in Path(f"/proc/{pid}/environ").read_text().split("\0"))
    return variables.get("PROMETHEUS_MULTIPROC_DIR", "")


def fetch(command: Command, path: str = "/api/info") -> httpx.Response:
    """Request a path through the proxy on a new connection."""
    url = f"http://127.0.0.1:{command.port}/api/v1/proxy{path}"
    return httpx.get(url, headers=command.credentials, trust_env=False, timeout=READY_SECONDS)


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_two_workers_serve_and_the_jobs_run_once(gateway: Command) -> None:
    assert gateway.output.count("Zenzefi is ready") == 1
    first, second = workers(gateway)
    for other in (first, second):
        with stopped(other):
            assert fetch(gateway).status_code == 200
    assert (len(children(gateway, "zenzefi worker")), len(children(gateway, "zenzefi beat"))) == (1, 1)


def accepted(command: Command, pid: int) -> int:
    """Return the number of established connections to the gateway's port that this worker has."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{command.port:04X}") and row[3] == "01"}
    held = subprocess.run(["find", f"/proc/{pid}/fd", "-printf", "%l\n"], capture_output=True, text=True, check=False)
    return len(sockets & set(held.stdout.split()))


def test_a_burst_of_connections_is_shared_between_the_workers(gateway: Command) -> None:
    first, second = workers(gateway)
    with contextlib.ExitStack() as clients:
        for _ in range(100):
            clients.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
        wait_until(lambda: accepted(gateway, first) + accepted(gateway, second) >= 100)
        # With 100 connections, fewer than 20 on one side happen once in a billion times.
        assert min(accepted(gateway, first), accepted(gateway, second)) >= 20


def test_the_port_is_not_shared_with_another_gateway(gateway: Command, serve_two: Any) -> None:
    other = serve_two(PORT=str(gateway.port))

    assert other.process.wait(READY_SECONDS) == 1
    assert f"Port {gateway.port} on 127.0.0.1 is already in use." in other.output


# case G83
def test_of_two_gateways_that_start_at_once_one_has_the_port(serve_two: Any) -> None:
    port = str(free_port())
    starting = [serve_two(PORT=port) for _ in range(2)]

    def ready() -> list[bool]:
        return ["Zenzefi is ready" in command.output for command in starting]

    def ended() -> list[bool]:
        return [command.process.poll() == 1 for command in starting]

    wait_until(lambda: any(ready()) and any(ended()))
    assert sorted(ready()) == sorted(ended()) == [False, True]


def test_metrics_are_the_sum_over_the_workers(gateway: Command) -> None:
    for other in workers(gateway):
        with stopped(other):
            assert httpx.get(f"http://127.0.0.1:{gateway.port}/docs", timeout=READY_SECONDS).status_code == 200
    metrics = httpx.get(f"http://127.0.0.1:{gateway.port}/metrics").text

    name = 'django_http_responses_total_by_status_view_method_total{method="GET",status="200",view="docs"}'
    assert f"{name} 2.0" in metrics
    assert len({metrics_folder(pid) for pid in workers(gateway)} - {""}) == 1
    assert {metrics_folder(pid) for pid in children(gateway, "celery")} == {""}


def test_a_killed_worker_is_replaced_while_the_other_serves_on(gateway: Command) -> None:
    killed, other = workers(gateway)

    os.kill(killed, signal.SIGKILL)

    wait_until(lambda: len(set(workers(gateway)) - {killed, other}) == 1)
    (new,) = set(workers(gateway)) - {killed, other}
    wait_until(lambda: new in [record["pid"] for record in gateway.logged("worker_ready")])
    for _ in range(100):
        assert fetch(gateway).status_code == 200
    with stopped(other):
        assert fetch(gateway).status_code == 200
    assert set(workers(gateway)) == {other, new}
    assert (killed, "SIGKILL") in [(record["pid"], record["reason"]) for record in gateway.logged("worker_exited")]
    assert gateway.output.count("Zenzefi is ready") == 1


def test_a_worker_that_hangs_is_replaced(gateway: Command) -> None:
    hanging, other = workers(gateway)

    os.kill(hanging, signal.SIGSTOP)

    wait_until(lambda: len(set(workers(gateway)) - {hanging, other}) == 1)
    assert hanging not in workers(gateway)
    assert hanging in [record["pid"] for record in gateway.logged("worker_killed")]


def test_all_processes_end_with_a_killed_parent(serve_two: Any) -> None:
    command = serve_two()
    command.wait_ready()

    command.end(signal.SIGKILL)

    wait_until(lambda: command.processes() == [])


def test_a_second_ctrl_c_does_not_wait(serve_two: Any) -> None:
    command = serve_two(DRAIN_DELAY="600")
    command.wait_ready()

    # A terminal signals the whole process group.
    os.killpg(command.process.pid, signal.SIGINT)
    wait_until(lambda: httpx.get(f"http://127.0.0.1:{command.port}/health/ready").status_code == 503)
    os.killpg(command.process.pid, signal.SIGINT)

    assert command.process.wait(20) == 0
    wait_until(lambda: command.processes() == [])
    assert "Traceback" not in command.output


def test_requests_are_finished_and_websockets_closed_on_shutdown(serve_two: Any) -> None:
    command = serve_two(DRAIN_DELAY="4")
    command.wait_ready()
    (folder,) = {metrics_folder(pid) for pid in workers(command)}
    responses: list[int] = []
    stopped_driving = threading.Event()

    def drive() -> None:
        """Send slow requests one after the other, the last one just before the shutdown."""
        while not stopped_driving.is_set():
            responses.append(fetch(command, "/slow?before=0.3").status_code)

    clients = [threading.Thread(target=drive) for _ in range(4)]
    last = threading.Thread(target=lambda: responses.append(fetch(command, "/slow?before=8").status_code))
    url = f"ws://127.0.0.1:{command.port}/api/v1/proxy/ws/echo"
    with connect(url, additional_headers=command.credentials) as websocket:
        for client in (*clients, last):
            client.start()
        wait_until(lambda: len(responses) > 4)
        command.process.send_signal(signal.SIGTERM)
        served = len(responses)
        wait_until(lambda: len(responses) > served + 4)  # within DRAIN_DELAY requests are still served
        stopped_driving.set()
        with pytest.raises(ConnectionClosed):
            websocket.recv(timeout=15)
        assert websocket.close_code == 1012
    # The port is closed while the last request is still running, so that no client waits there.
    wait_until(lambda: is_refused(command.port))  # the other worker may be a moment behind
    assert last.is_alive()
    for client in (*clients, last):
        client.join()

    assert set(responses) == {200}
    assert command.process.wait(20) == 0
    assert workers(command) == []
    wait_until(lambda: command.processes() == [])
    assert not Path(folder).exists()
    assert "Traceback" not in command.output


@pytest.fixture
def broken_start(tmp_path: Path) -> Any:
    """Return the path of a file. While it exists, no worker can start, and each attempt is recorded."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, sys\n"
        "folder = pathlib.Path(__file__).parent\n"
        "if '--worker' in sys.orig_argv and (folder / 'broken').exists():\n"
        "    (folder / f'attempt-{os.getpid()}').touch()\n"
        "    os._exit(7)\n"
    )
    return tmp_path / "broken"


def test_workers_that_cannot_start_end_it(serve_two: Any, broken_start: Path) -> None:
    broken_start.touch()
    command = serve_two(PYTHONPATH=str(broken_start.parent))

    assert command.process.wait(READY_SECONDS) == 1
    assert [record["reason"] for record in command.logged("worker_start_failed")] == ["exit status 7"]
    assert "Zenzefi is ready" not in command.output
    wait_until(lambda: command.processes() == [])


def test_a_worker_that_keeps_dying_is_replaced_after_growing_pauses(serve_two: Any, broken_start: Path) -> None:
    command = serve_two(PYTHONPATH=str(broken_start.parent))
    command.wait_ready()
    killed, other = workers(command)
    broken_start.touch()

    os.kill(killed, signal.SIGKILL)

    def pauses() -> list[float]:
        return [record["replaced_in_seconds"] for record in command.logged("worker_exited")]

    wait_until(lambda: 3.5 in pauses())
    assert pauses() == [0.5, 1.5, 3.5]
    assert len(list(broken_start.parent.glob("attempt-*"))) == 2
    assert workers(command) == [other]
    assert fetch(command).status_code == 200
    broken_start.unlink()
    wait_until(lambda: len(workers(command)) == 2)
