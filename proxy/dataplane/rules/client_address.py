"""Who the client is, behind the proxies that we trust, and only those (`TRUSTED_PROXIES`)."""

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from zenzefi.common.ip_addresses import parse_ip_address

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
FORWARDED_FOR = "zenzefi.forwarded_for"


@dataclass(frozen=True, slots=True)
class Client:
    """The client's address, and the chain that reaches the upstream as `X-Forwarded-For`."""

    ip: str
    chain: str


def resolve(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> Client:
    """Walk `X-Forwarded-For` from the right, past the proxies that are trusted; the first other is the client.

    What an untrusted peer claims is not read at all.
    """
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    current, passed = peer, [peer]
    while hops and is_trusted(current, trusted):
        candidate = parse_ip_address(hops.pop())
        if candidate is None:
            break
        current = str(candidate)
        passed.insert(0, current)
    return Client(current, ", ".join(passed))


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    parsed = parse_ip_address(peer)
    return parsed is not None and any(parsed in network for network in trusted)


class TrustedForwarding:
    """ASGI: puts the client's address and scheme into the scope where a trusted proxy vouches for them."""

    def __init__(self, application: Application, trusted: Sequence[Network]) -> None:
        self._application = application
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if self._trusted and client and is_trusted(client[0], self._trusted):
            headers = scope["headers"]
            found = resolve(client[0], _joined(headers, b"x-forwarded-for"), self._trusted)
            scope["client"] = (found.ip, client[1])
            scope[FORWARDED_FOR] = found.chain
            proto = _joined(headers, b"x-forwarded-proto").strip().lower()
            if proto in ("http", "https"):
                websocket = "wss" if proto == "https" else "ws"
                scope["scheme"] = websocket if scope["type"] == "websocket" else proto
        await self._application(scope, receive, send)


def _joined(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in headers if key == name)
