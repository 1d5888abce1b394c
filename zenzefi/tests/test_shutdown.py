"""Shutdown of the main command: running requests are finished, and load balancers notice it first."""

import signal
import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from zenzefi.tests.support.command import Command, Serve, is_refused, wait_until

pytestmark = pytest.mark.embedded


@pytest.fixture
def leaving(serve: Serve) -> Any:
    """Return a gateway that serves for two more seconds after SIGTERM."""
    command = serve(DRAIN_DELAY="2", DRAIN_SECONDS="10")
    command.wait_ready()
    return command


# case F70
def test_running_requests_are_finished_and_balancers_notice(leaving: Any, tmp_path: Path) -> None:
    base = f"http://127.0.0.1:{leaving.port}"
    responses: list[httpx.Response] = []

    def slow() -> None:
        responses.append(httpx.get(f"{base}/api/v1/proxy/slow?before=4", headers=leaving.credentials, timeout=20))

    request = threading.Thread(target=slow)
    with connect(f"ws://127.0.0.1:{leaving.port}/api/v1/proxy/ws/echo", additional_headers=leaving.credentials) as ws:
        request.start()
        ws.send("before")
        assert ws.recv(timeout=5) == "before"
        ready = httpx.get(f"{base}/health/ready")
        assert (ready.status_code, ready.headers.get("Connection")) == (200, None)

        leaving.process.send_signal(signal.SIGTERM)

        wait_until(lambda: httpx.get(f"{base}/health/ready").status_code == 503)
        # Requests are still served, but each response closes its connection, so that none is open in the next step.
        for path in ("/api/v1/proxy/api/info", "/api/v1/proxy/status", "/health/live", "/docs"):
            response = httpx.get(f"{base}{path}", headers=leaving.credentials)
            assert (response.status_code, response.headers.get("Connection")) == (200, "close")
        ws.send("after")
        assert ws.recv(timeout=5) == "after"
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=15)
        assert ws.close_code == 1012
    request.join()
    assert [(response.status_code, response.headers.get("Connection")) for response in responses] == [(200, "close")]
    assert leaving.process.wait(20) == 0

    with sqlite3.connect(tmp_path / "zenzefi.sqlite3") as database:
        counted = database.execute("SELECT request_count FROM proxy_proxysession").fetchall()
    database.close()
    assert counted == [(3,)]


def open_connection(command: Command) -> socket.socket:
    return socket.create_connection(("127.0.0.1", command.port), timeout=10)


REQUEST = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_a_client_that_connected_just_before_the_port_was_closed_is_served(leaving: Command) -> None:
    with closing(open_connection(leaving)) as connection:
        leaving.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(leaving.port))

        connection.sendall(REQUEST)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
