"""ASGI middleware that takes the client's address and scheme from a trusted proxy."""

import logging
from collections.abc import Sequence

from proxy.dataplane.asgi import FORWARDED_FOR, Application, Receive, Scope, Send
from proxy.dataplane.metrics import UNREAD_FORWARDING
from proxy.dataplane.rules.client_address import Network, is_trusted, read_scheme, resolve_client

logger = logging.getLogger(__name__)

_FOR, _PROTO = b"x-forwarded-for", b"x-forwarded-proto"
# Fields that also name the client. They are not read, because a proxy that does not know them passes a client's own.
_OTHERS = frozenset({b"forwarded", b"x-real-ip"})
_MAX_LOGGED = 100  # characters


class TrustedForwarding:
    """Put the client's address and scheme into the scope if the peer is a trusted proxy.

    If they cannot be read, the proxy counts as the client, which is logged and counted: all its clients then share
    their rate limits.
    """

    def __init__(self, application: Application, trusted: Sequence[Network]) -> None:
        self._application = application
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if self._trusted and client and is_trusted(client[0], self._trusted):
            self._use_fields(scope, client)
        await self._application(scope, receive, send)

    def _use_fields(self, scope: Scope, client: tuple[str, int]) -> None:
        headers = scope["headers"]
        forwarded_for = _joined(headers, _FOR)
        found = resolve_client(client[0], forwarded_for, self._trusted)
        scope["client"] = (found.ip, client[1])
        scope[FORWARDED_FOR] = found.chain
        if found.unread is not None:
            _report(_FOR, found.unread, client[0])
        elif not forwarded_for:
            for name, value in headers:
                if name in _OTHERS:
                    _report(name, value.decode("latin-1"), client[0])
        if proto := _joined(headers, _PROTO):
            scheme = read_scheme(proto)
            if scheme is None:
                _report(_PROTO, proto, client[0])
            else:
                websocket = "wss" if scheme == "https" else "ws"
                scope["scheme"] = websocket if scope["type"] == "websocket" else scheme


def _report(field: bytes, value: str, proxy: str) -> None:
    """Log and count a field of a trusted proxy that cannot be used."""
    name = field.decode()
    UNREAD_FORWARDING.labels(name).inc()
    logger.warning(
        "forwarding_unread",
        extra={
            "field": name,
            "value": ascii(value[:_MAX_LOGGED]),
            "proxy": proxy,
            "hint": "Let the proxy send the IP address in X-Forwarded-For, and http or https in X-Forwarded-Proto.",
        },
    )


def _joined(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in headers if key == name)
