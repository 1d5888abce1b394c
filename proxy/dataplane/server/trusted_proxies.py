"""ASGI middleware that takes the client's address and scheme from a trusted proxy."""

from collections.abc import Sequence

from proxy.dataplane.asgi import FORWARDED_FOR, Application, Receive, Scope, Send
from proxy.dataplane.rules.client_address import Network, is_trusted, resolve_client


class TrustedForwarding:
    """Put the client's address and scheme into the scope if the peer is a trusted proxy."""

    def __init__(self, application: Application, trusted: Sequence[Network]) -> None:
        self._application = application
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if self._trusted and client and is_trusted(client[0], self._trusted):
            headers = scope["headers"]
            found = resolve_client(client[0], _joined(headers, b"x-forwarded-for"), self._trusted)
            scope["client"] = (found.ip, client[1])
            scope[FORWARDED_FOR] = found.chain
            proto = _joined(headers, b"x-forwarded-proto").strip().lower()
            if proto in ("http", "https"):
                websocket = "wss" if proto == "https" else "ws"
                scope["scheme"] = websocket if scope["type"] == "websocket" else proto
        await self._application(scope, receive, send)


def _joined(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in headers if key == name)
