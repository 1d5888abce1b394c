"""How the main command leaves: nothing that runs is lost, and a balancer is told first. Case F70."""

import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from zenzefi.tests.command import Serve, wait_until


@pytest.fixture
def leaving(serve: Serve) -> Any:
    """A gateway with a customer's token that serves on for two seconds after SIGTERM."""
    command = serve(DRAIN_DELAY="2", DRAIN_SECONDS="10")
    command.wait_ready()
    return command


def test_what_runs_is_finished_and_balancers_are_told(leaving: Any, tmp_path: Path) -> None:
    base = f"http://127.0.0.1:{leaving.port}"
    answers: list[httpx.Response] = []

    def slow() -> None:
        answers.append(httpx.get(f"{base}/api/v1/proxy/slow?before=4", headers=leaving.credentials, timeout=20))

    request = threading.Thread(target=slow)
    with connect(f"ws://127.0.0.1:{leaving.port}/api/v1/proxy/ws/echo", additional_headers=leaving.credentials) as ws:
        request.start()
        ws.send("before")
        assert ws.recv(timeout=5) == "before"
        assert httpx.get(f"{base}/health/ready").status_code == 200

        leaving.process.send_signal(signal.SIGTERM)

        wait_until(lambda: httpx.get(f"{base}/health/ready").status_code == 503)
        # Told, but still served.
        assert httpx.get(f"{base}/api/v1/proxy/api/info", headers=leaving.credentials).status_code == 200
        ws.send("after")
        assert ws.recv(timeout=5) == "after"
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=15)
        assert ws.close_code == 1012
    request.join()
    assert [answer.status_code for answer in answers] == [200]
    assert leaving.process.wait(20) == 0

    with sqlite3.connect(tmp_path / "zenzefi.sqlite3") as database:
        counted = database.execute("SELECT request_count FROM proxy_proxysession").fetchall()
    database.close()
    assert counted == [(3,)]
