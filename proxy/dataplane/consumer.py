"""The WebSocket side of the data plane: relays text and binary between the client and the upstream."""

import asyncio
import contextlib
from enum import Enum, auto
from typing import Any

import aiohttp
from aiohttp import WSMsgType
from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer

from proxy.dataplane import plane
from proxy.dataplane.accounting import Session
from proxy.dataplane.answers import request_id
from proxy.dataplane.app import stated_headers, upstream_headers
from proxy.dataplane.denials import BAD_REQUEST, UPSTREAM_UNREACHABLE, Denial, Denied
from proxy.dataplane.grants import Grant
from proxy.dataplane.headers import Headers, RequestHead, read_request
from proxy.dataplane.paths import is_proxied, upstream_path
from proxy.dataplane.plane import DataPlane
from proxy.dataplane.upstream import FAILURES, denial_of

# Codes that are never sent (RFC 6455 §7.4.1): they only describe what was seen.
_NEVER_SENT = frozenset({1005, 1006, 1015})
_TOO_BIG = 1009
# How long either side may take to let itself be closed, in seconds.
_CLOSE_TIMEOUT = 1.5


class State(Enum):
    CONNECTING = auto()
    OPEN = auto()
    CLOSED = auto()


class WebSocketCarry(AsyncConsumer):  # type: ignore[misc]  # channels is untyped
    """Carries one WebSocket; see `proxy.dataplane.registry.Carry`."""

    grant: Grant
    session: Session
    _gateway: DataPlane

    def __init__(self) -> None:
        self._state = State.CONNECTING
        self._upstream: aiohttp.ClientWebSocketResponse | None = None
        self._connecting: asyncio.Timeout | None = None
        self._denial: Denial | None = None
        self._relay: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    # --- What ends it from outside

    def cut(self, denial: Denial) -> bool:
        if self._denial is not None or self._state is State.CLOSED:
            return False
        self._denial = denial
        if self._state is State.OPEN:
            self._closing = asyncio.create_task(self._close(denial.close_code, denial.code), name="websocket cut")
        elif self._connecting is not None:
            self._connecting.reschedule(asyncio.get_running_loop().time())
        return True

    def overdue(self, _now: float) -> Denial | None:
        return None

    # --- Events of the client's side

    async def websocket_connect(self, _message: dict[str, Any]) -> None:
        self._gateway = plane.current()
        protocols = tuple(self.scope["subprotocols"])
        identifier = request_id(dict(self.scope["headers"]).get(b"x-request-id", b""))
        try:
            upstream = await self._admit(protocols, identifier)
        except Denied as denied:
            self._gateway.figures.denials[denied.denial.code] += 1
            # A browser hides the status of a refused handshake, so accept, then close with the reason.
            try:
                await self._accept(protocols[0] if protocols else None, [(b"x-request-id", identifier)])
            finally:
                await self._close(denied.denial.close_code, denied.denial.code)
            return
        self._state = State.OPEN
        try:
            await self._accept(upstream.protocol, stated_headers(self.grant, identifier))
        except OSError:  # the client left meanwhile
            await self._end(1001, "")
            raise
        self._relay = asyncio.create_task(self._relay_to_client(upstream), name="websocket relay")

    async def _accept(self, protocol: str | None, headers: Headers) -> None:
        await self.send({"type": "websocket.accept", "subprotocol": protocol, "headers": headers})

    async def _admit(self, protocols: tuple[str, ...], identifier: bytes) -> aiohttp.ClientWebSocketResponse:
        raw_path = self.scope["raw_path"]
        head = read_request(self.scope["headers"], self.scope.get("http_version", "1.1"))
        # A handshake has no body: what follows it is frames, to us and to the upstream.
        if not is_proxied(raw_path) or head.has_body:
            raise Denied(BAD_REQUEST)
        path, client = upstream_path(raw_path), self.scope["client"]
        self.grant, self.session = await self._gateway.gate.admit(
            head, path, ip=client[0] if client else None, unsafe=True
        )
        self._gateway.registry.add(self)
        try:
            upstream = self._upstream = await self._connect_upstream(head, path, protocols, identifier)
        except BaseException:
            self._gateway.registry.remove(self)
            raise
        if self._denial is not None:
            raise Denied(self._denial)
        return upstream

    async def _connect_upstream(
        self, head: RequestHead, path: bytes, protocols: tuple[str, ...], identifier: bytes
    ) -> aiohttp.ClientWebSocketResponse:
        """Before the client is accepted, so that the subprotocol and a refusal are real."""
        headers = upstream_headers(head, self.grant, self.scope, identifier)
        try:
            async with asyncio.timeout(self._gateway.config.upstream_timeout) as self._connecting:
                return await self._gateway.upstream.connect_websocket(
                    path, self.scope["query_string"], headers, protocols
                )
        except FAILURES as error:
            raise Denied(self._denial or denial_of(error)) from error

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        """The client's message to the upstream; awaiting it is the backpressure."""
        upstream = self._upstream
        if self._state is not State.OPEN or upstream is None:
            return
        text, data = message.get("text"), message.get("bytes")
        try:
            if text is not None:
                self.session.carried(len(text.encode()))
                await upstream.send_str(text)
            elif data is not None:
                self.session.carried(len(data))
                await upstream.send_bytes(data)
        except (ConnectionError, aiohttp.ClientError):
            await self._close(*_UPSTREAM_GONE)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        """The client has left, or closing was ours and is complete."""
        await self._end(message.get("code") or 1005, message.get("reason") or "")
        raise StopConsumer

    # --- The upstream's side

    async def _relay_to_client(self, upstream: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while (message := await upstream.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                if message.type is WSMsgType.TEXT:
                    self.session.carried(len(message.data.encode()))
                    await self.send({"type": "websocket.send", "text": message.data})
                else:
                    self.session.carried(len(message.data))
                    await self.send({"type": "websocket.send", "bytes": message.data})
        except OSError:
            return  # the client left; its disconnect event follows
        await self._close(*_closing_of(message, upstream.close_code))

    # --- Ending

    async def _close(self, code: int, reason: str) -> None:
        """Close the client's side with this code and reason (RFC 6455 §5.5.1), then everything."""
        if self._state is State.CLOSED:
            return
        self._state = State.CLOSED
        self._stop_relay()
        await asyncio.gather(self._tell_client(code, reason), self._end(code, reason))

    async def _tell_client(self, code: int, reason: str) -> None:
        with contextlib.suppress(RuntimeError, OSError):  # it has left, or reads nothing
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self.send({"type": "websocket.close", "code": code, "reason": reason})

    async def _end(self, code: int, reason: str) -> None:
        """Close the upstream's side and leave the registry."""
        self._state = State.CLOSED
        self._stop_relay()
        upstream, self._upstream = self._upstream, None
        if upstream is None:
            return
        self._gateway.registry.remove(self)
        # aiohttp drops the connection when it is cancelled.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await upstream.close(code=1000 if code in _NEVER_SENT else code, message=reason.encode())

    def _stop_relay(self) -> None:
        if self._relay is not None and self._relay is not asyncio.current_task():
            self._relay.cancel()


_UPSTREAM_GONE = (UPSTREAM_UNREACHABLE.close_code, UPSTREAM_UNREACHABLE.code)


def _closing_of(message: aiohttp.WSMessage, code: int | None) -> tuple[int, str]:
    """Code and reason for the client when the upstream's side has ended with this message."""
    if message.type is WSMsgType.CLOSE:
        # 0: a close frame without a code.
        return code or 1000, message.extra or ""
    return (_TOO_BIG, "") if code == _TOO_BIG else _UPSTREAM_GONE
