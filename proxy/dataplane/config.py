"""What the data plane reads from the settings, once at its start."""

from dataclasses import dataclass
from typing import Self

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Config:
    """Times in seconds, sizes in bytes."""

    redis_url: str
    target_url: str
    verify_tls: bool
    ca_file: str
    connect_timeout: float
    upstream_timeout: float
    body_timeout: float
    session_timeout: float
    rate: str
    max_connections_per_token: int
    max_message_bytes: int
    maintenance: bool
    cookie_secure: bool
    cookie_samesite: str
    own_origin: bytes

    @classmethod
    def from_settings(cls) -> Self:
        return cls(
            redis_url=settings.REDIS_URL,
            target_url=settings.ZENZEFI_TARGET_URL,
            verify_tls=settings.ZENZEFI_VERIFY_TLS,
            ca_file=settings.ZENZEFI_CA_FILE,
            connect_timeout=settings.UPSTREAM_CONNECT_TIMEOUT,
            upstream_timeout=settings.UPSTREAM_TIMEOUT,
            body_timeout=settings.CLIENT_BODY_TIMEOUT,
            session_timeout=settings.SESSION_TIMEOUT_SECONDS,
            rate=settings.RATE_LIMIT_PROXY,
            max_connections_per_token=settings.MAX_CONNECTIONS_PER_TOKEN,
            max_message_bytes=settings.WEBSOCKET_MAX_MESSAGE_BYTES,
            maintenance=settings.MAINTENANCE,
            cookie_secure=settings.COOKIE_SECURE,
            cookie_samesite=settings.COOKIE_SAMESITE,
            own_origin=settings.BACKEND_URL.encode(),
        )
