"""A gateway whose connection to one of its services can fail."""

from pathlib import Path
from typing import Any

import httpx

from proxy.tests.support.faults import Link
from proxy.tests.support.processes import GatewayProcess
from proxy.tests.support.websockets import read_close

LIMITS = {"RATE_LIMIT_AUTH": "1000/hour", "RATE_LIMIT_PROXY": "60000/minute"}


class Site:
    """A gateway that reaches the service whose URL is in `setting` through `link`."""

    def __init__(self, folder: Path, upstream_url: str, setting: str, link: Link) -> None:
        self.link = link
        self.gateway = GatewayProcess(folder, upstream_url, **{setting: link.url}, **LIMITS)
        self.gateway.wait_ready()
        self.url = self.gateway.url

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Send a GET request without a token."""
        return httpx.get(self.url + path, trust_env=False, timeout=20, **options)

    def fetch(self, token: Any) -> httpx.Response:
        """Send a GET request to the upstream with a `Sold` token."""
        return self.gateway.get("/api/info", token)

    def websocket_close(self, token: Any) -> tuple[int | None, str | None]:
        """Open a WebSocket that the gateway denies. Return code and reason of its close frame."""
        with self.gateway.socket("/ws/echo", token) as client:
            return read_close(client, 10)

    def login(self) -> httpx.Response:
        """Try to sign in with an unknown e-mail address."""
        given = {"email": "nobody@example.com", "password": "x"}
        return httpx.post(self.url + "/api/v1/auth/login", json=given, trust_env=False, timeout=20)

    def is_ready(self) -> bool:
        return self.get("/health/ready").status_code == 200
