"""What the data plane reads from the settings, once at its start."""

import ssl
from dataclasses import dataclass
from typing import Self

from django.conf import settings

from proxy.dataplane.rules.proxy_host import origin_of
from proxy.tls import upstream_tls


@dataclass(frozen=True, slots=True)
class Config:
    """Times in seconds, sizes in bytes."""

    redis_url: str
    target_url: str
    tls: ssl.SSLContext | None
    connect_timeout: float
    upstream_timeout: float
    max_header_bytes: int
    header_timeout: float
    body_timeout: float
    session_timeout: float
    rate: str
    max_connections_per_token: int
    max_message_bytes: int
    maintenance: bool
    cookie_secure: bool
    cookie_samesite: str
    own_origin: bytes
    proxy_origin: bytes

    @classmethod
    def from_settings(cls) -> Self:
        return cls(
            redis_url=settings.REDIS_URL,
            target_url=settings.ZENZEFI_TARGET_URL,
            tls=upstream_tls(),
            connect_timeout=settings.UPSTREAM_CONNECT_TIMEOUT,
            upstream_timeout=settings.UPSTREAM_TIMEOUT,
            max_header_bytes=settings.MAX_HEADER_BYTES,
            header_timeout=settings.HEADER_TIMEOUT_SECONDS,
            body_timeout=settings.CLIENT_BODY_TIMEOUT,
            session_timeout=settings.SESSION_TIMEOUT_SECONDS,
            rate=settings.RATE_LIMIT_PROXY,
            max_connections_per_token=settings.MAX_CONNECTIONS_PER_TOKEN,
            max_message_bytes=settings.WEBSOCKET_MAX_MESSAGE_BYTES,
            maintenance=settings.MAINTENANCE,
            cookie_secure=settings.COOKIE_SECURE,
            cookie_samesite=settings.COOKIE_SAMESITE,
            own_origin=settings.BACKEND_URL.encode(),
            proxy_origin=origin_of(settings.PROXY_HOST, settings.BACKEND_URL).encode(),
        )
