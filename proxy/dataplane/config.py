"""The settings of the data plane, read once when it starts; no other module of it reads settings."""

import ssl
from dataclasses import dataclass
from typing import Self

from django.conf import settings

from proxy.dataplane.rules.proxy_host import origin_of
from proxy.tls import upstream_tls


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one data plane: times in seconds, sizes in bytes."""

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
    allowed_hosts: tuple[str, ...]
    proxy_host: str
    own_origin: bytes
    proxy_origin: bytes
    languages: frozenset[str]
    language_cookie: str
    theme_cookie: str
    time_zone_cookie: str

    @classmethod
    def from_settings(cls) -> Self:
        """Return the configuration of this process."""
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
            allowed_hosts=tuple(settings.ALLOWED_HOSTS),
            proxy_host=settings.PROXY_HOST,
            own_origin=settings.BACKEND_URL.encode(),
            proxy_origin=origin_of(settings.PROXY_HOST, settings.BACKEND_URL).encode(),
            languages=frozenset(dict(settings.LANGUAGES)),
            language_cookie=settings.LANGUAGE_COOKIE_NAME,
            theme_cookie=settings.THEME_COOKIE_NAME,
            time_zone_cookie=settings.TIME_ZONE_COOKIE_NAME,
        )
