"""A rolling restart of two gateways behind nginx, configured by `deploy/nginx.conf`."""

import itertools
import signal
import threading
from typing import Any

import httpx
import pytest

from proxy.tests.support.nginx import NGINX
from proxy.tests.support.servers import eventually
from zenzefi.tests.support.command import free_port, wait_until


class Traffic:
    """Clients that send GET and POST requests with unique numbers in their paths, and record the responses."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.responses: list[str | int] = []
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._drive, args=(url, headers)) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _drive(self, url: str, headers: dict[str, str]) -> None:
        with httpx.Client(base_url=url, headers=headers, verify=False, trust_env=False, timeout=30) as client:
            while not self._stopping.is_set():
                number = next(self._numbers)
                path, body = f"/api/v1/proxy/request/{number}", b"x" * 2000 if number % 2 else None
                try:
                    response = client.request("POST" if body else "GET", path, content=body)
                    self.responses.append(response.headers.get("X-Zenzefi-Error") or response.status_code)
                except httpx.HTTPError as error:
                    self.responses.append(repr(error))

    def end(self) -> list[str | int]:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        return self.responses


def is_ready(gateway: Any) -> bool:
    try:
        return httpx.get(f"{gateway.url}/health/ready", trust_env=False).status_code == 200
    except httpx.ConnectError:
        return False


# case F70
@pytest.mark.services
@pytest.mark.skipif(NGINX is None, reason="needs nginx")
def test_a_rolling_restart_of_two_gateways_behind_nginx_loses_no_request(
    deployed_nginx: Any, start_gateway_process: Any, recording_upstream: Any, alice_token: Any
) -> None:
    ports = free_port(), free_port()

    def start(port: int) -> Any:
        given = {"PORT": str(port), "DRAIN_DELAY": "2", "TRUSTED_PROXIES": "127.0.0.1"}
        return start_gateway_process(recording_upstream.url, **given)

    gateways = [start(port) for port in ports]
    for gateway in gateways:
        gateway.wait_ready()
        wait_until(lambda gateway=gateway: is_ready(gateway))
    traffic = Traffic(deployed_nginx(*ports), alice_token.headers)
    eventually(lambda: len(traffic.responses) > 50)
    for gateway, port in zip(gateways, ports, strict=True):
        assert gateway.end(signal.SIGTERM) == 0
        restarted = start(port)
        restarted.wait_ready()
        wait_until(lambda restarted=restarted: is_ready(restarted))
        so_far = len(traffic.responses)
        eventually(lambda so_far=so_far: len(traffic.responses) > so_far + 50)
    responses = traffic.end()

    assert set(responses) == {200}, [response for response in responses if response != 200]
    forwarded = [request for request in recording_upstream.requests if request.target.startswith(b"/request/")]
    assert len({request.target for request in forwarded}) == len(responses)
    posts = [request.target for request in forwarded if request.line.startswith(b"POST")]
    assert len(posts) == len(set(posts))
