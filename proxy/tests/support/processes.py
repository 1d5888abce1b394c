"""Gateways in separate processes that use the database of the tests.

Two of them act as two workers with known ports.
"""

from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.db import connection
from websockets.sync.client import ClientConnection, connect

from zenzefi.tests.support.command import Command


def database_url() -> str:
    """Return the URL of the tests' database, for another process."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    return f"postgres://{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT']}/{given['NAME']}"


class GatewayProcess(Command):
    """A gateway in front of `upstream_url` that shares the database, Redis and the secrets with the tests."""

    arguments = ("serve", "--without-jobs")

    def __init__(self, data_dir: Path, upstream_url: str, **given: str) -> None:
        shared = {
            "DATABASE_URL": database_url(),
            "REDIS_URL": settings.REDIS_URL,
            "SECRET_KEY": settings.SECRET_KEY,
            "TOKEN_ENCRYPTION_KEYS": ",".join(settings.TOKEN_ENCRYPTION_KEYS),
            "ZENZEFI_TARGET_URL": upstream_url,
            "RATE_LIMIT_AUTH": "",
            "RATE_LIMIT_API": "",
            "RATE_LIMIT_PROXY": "",
        }
        super().__init__(data_dir, **{**shared, **given})
        self.url = f"http://127.0.0.1:{self.port}"
        self.proxy_url = f"{self.url}/api/v1/proxy"

    def get(self, path: str, token: Any, **options: Any) -> httpx.Response:
        """Send one GET request below the proxy prefix with the credentials of a `Sold` token. Return the response."""
        return httpx.get(self.proxy_url + path, headers=token.headers, trust_env=False, timeout=20, **options)

    def socket(self, path: str, token: Any, **options: Any) -> ClientConnection:
        """Open a WebSocket below the proxy prefix with the credentials of a `Sold` token."""
        url = self.proxy_url.replace("http", "ws", 1) + path
        return connect(url, additional_headers=token.headers, **options)
