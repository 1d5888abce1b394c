"""The WebSocket side of the data plane: admits, connects the upstream's end with the client's, and closes both."""

import asyncio
from enum import Enum, auto
from http import HTTPStatus

from channels.consumer import AsyncConsumer

from proxy.dataplane import plane
from proxy.dataplane.admission.grant_cache import Grant
from proxy.dataplane.denials.log import Asked, facts
from proxy.dataplane.denials.responses import request_id
from proxy.dataplane.errors import BAD_REQUEST, DRAINING, ClientGone, Denial, Denied
from proxy.dataplane.http.exchange import client_headers
from proxy.dataplane.http.handler import stated_headers, upstream_headers
from proxy.dataplane.plane import DataPlane
from proxy.dataplane.rules.client_address import Receive, Scope, Send
from proxy.dataplane.rules.headers import Headers, RequestHead, read_request
from proxy.dataplane.rules.paths import is_proxied, upstream_path
from proxy.dataplane.rules.proxy_host import is_claimed, prefix_of
from proxy.dataplane.server.http_protocol import CONNECTION
from proxy.dataplane.sessions.accounting import Session
from proxy.dataplane.upstream.client import FAILURES, denial_of
from proxy.dataplane.websocket.client_end import GatewayWebSocket
from proxy.dataplane.websocket.endpoint import LAST_SECONDS, join
from proxy.dataplane.websocket.upstream_end import UpstreamSocket

_OUR_FAULT = 1011
# How long either side may take to let itself be closed once it is cut, in seconds: with the one until a revocation is
# found, less than two. Otherwise it may first read what it was sent.
_CUT_SECONDS = 0.75


class State(Enum):
    CONNECTING = auto()  # being admitted, and the upstream reached
    OPEN = auto()
    CLOSING = auto()  # both sides are being told
    CLOSED = auto()


_NEXT = {
    State.CONNECTING: {State.OPEN, State.CLOSED},
    State.OPEN: {State.CLOSING},
    State.CLOSING: {State.CLOSED},
    State.CLOSED: set(),
}


class WebSocketCarry(AsyncConsumer):  # type: ignore[misc]  # channels is untyped
    """Carries one WebSocket; see `proxy.dataplane.sessions.in_flight.Carry`."""

    grant: Grant
    session: Session
    _gateway: DataPlane
    _client: GatewayWebSocket
    _upstream: UpstreamSocket

    def __init__(self) -> None:
        self._state = State.CONNECTING
        self._head = RequestHead()
        self._deadline: asyncio.Timeout | None = None  # of the state it is in
        self._client_gone = False
        self._denial: Denial | None = None
        self._over = asyncio.Event()
        self._parting = (_OUR_FAULT, "")  # what both sides are told at the end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the base class does it, without a channel layer and without events after the first."""
        self.scope, self.base_send = scope, send
        self._gateway, self._client = plane.current(), scope[CONNECTION]
        self._client.on_lost, self._client.on_shutdown = self._client_lost, self._drain
        try:
            await receive()
            await self.websocket_connect()
            if self._state is not State.CLOSED:
                await self._over.wait()
        finally:
            self._end(_OUR_FAULT, "")  # still open: an error or a cancellation
            if self._state is State.CLOSING:
                await self._close()
            self._client.on_lost = self._client.on_shutdown = None

    def _enter(self, state: State) -> None:
        if state not in _NEXT[self._state]:
            raise RuntimeError(f"a WebSocket cannot go from {self._state.name} to {state.name}")
        self._state = state

    # --- What ends it from outside

    def cut(self, denial: Denial) -> bool:
        if self._denial is not None or self._state is State.CLOSED:
            return False
        self._denial = denial
        self._end(denial.close_code, denial.code)
        self._hurry()
        return True

    def overdue(self, _now: float) -> Denial | None:
        return None

    def _drain(self) -> None:
        self._gateway.registry.cut(self, DRAINING)

    def _client_lost(self) -> None:
        self._client_gone = True
        if self._state is State.CONNECTING:
            self._hurry()

    def _hurry(self) -> None:
        if self._deadline is not None and not self._deadline.expired():
            seconds = 0 if self._state is State.CONNECTING else _CUT_SECONDS
            self._deadline.reschedule(asyncio.get_running_loop().time() + seconds)

    # --- Opening

    async def websocket_connect(self) -> None:
        # Each once, and none that is empty (RFC 6455 §4.1, RFC 9110 §5.6.1).
        protocols = tuple(dict.fromkeys(filter(None, self.scope["subprotocols"])))
        identifier = request_id(dict(self.scope["headers"]).get(b"x-request-id", b""))
        try:
            self._upstream = await self._admit(protocols, identifier)
        except ClientGone:
            self._enter(State.CLOSED)
            self._gateway.figures.denials["client_gone"] += 1
        except Denied as denied:
            self._enter(State.CLOSED)
            self._note(denied, identifier)
            # A browser hides the status of a refused handshake, so accept, then close with the reason.
            await self._accept(protocols[0] if protocols else None, [(b"x-request-id", identifier)])
            self._client.close(denied.denial.close_code, denied.denial.code)
        else:
            # Not one step of the event loop until the relay: nothing can come between.
            self._enter(State.OPEN)
            await self._accept(self._upstream.protocol, [*self._answered(), *stated_headers(self.grant, identifier)])
            join(self._client, self._upstream, self.session.carried, self._end)

    def _answered(self) -> Headers:
        """What of the upstream's answer to the handshake goes to the client, as its cookies do."""
        headers = client_headers(
            self._gateway.upstream, HTTPStatus.SWITCHING_PROTOCOLS, self._upstream.headers, prefix_of(self.scope)
        )
        return [pair for pair in headers if not pair[0].startswith(b"sec-websocket-")]

    def _note(self, denied: Denied, identifier: bytes) -> None:
        denial, head, client = denied.denial, self._head, self.scope["client"]
        self._gateway.figures.denials[denial.code] += 1
        asked = Asked(identifier, self.scope["raw_path"], client[0] if client else None, head.device, head.grant)
        self._gateway.refusals.note(denial, denial.close_code, asked, facts(denied, head.grant))

    async def _accept(self, protocol: str | None, headers: Headers) -> None:
        await self.send({"type": "websocket.accept", "subprotocol": protocol, "headers": headers})

    async def _admit(self, protocols: tuple[str, ...], identifier: bytes) -> UpstreamSocket:
        """The upstream, reached for this WebSocket. Raises `Denied` or `ClientGone`."""
        raw_path = self.scope["raw_path"]
        head = self._head = read_request(self.scope["headers"], self.scope.get("http_version", "1.1"))
        # A handshake has no body: what follows it is frames, to us and to the upstream.
        head.on_proxy_host = is_claimed(self.scope)
        if not (head.on_proxy_host or is_proxied(raw_path)) or head.has_body:
            raise Denied(BAD_REQUEST)
        path, client = upstream_path(raw_path, prefix_of(self.scope)), self.scope["client"]
        self.grant, self.session = await self._gateway.gate.admit(
            head, path, ip=client[0] if client else None, unsafe=True
        )
        self._raise_if_over()
        self._gateway.registry.add(self)
        try:
            return await self._connect_upstream(head, path, protocols, identifier)
        except BaseException:
            self._gateway.registry.remove(self)
            raise

    async def _connect_upstream(
        self, head: RequestHead, path: bytes, protocols: tuple[str, ...], identifier: bytes
    ) -> UpstreamSocket:
        """Before the client is accepted, so that the subprotocol and a refusal are real."""
        headers = upstream_headers(head, self.grant, self.scope, identifier)
        try:
            async with asyncio.timeout(self._gateway.config.upstream_timeout) as self._deadline:
                upstream = await self._gateway.upstream.connect_websocket(
                    path, self.scope["query_string"], headers, protocols
                )
        except FAILURES as error:
            self._raise_if_over()
            raise Denied(denial_of(error)) from error
        finally:
            self._deadline = None
        try:
            self._raise_if_over()
        except (Denied, ClientGone):
            upstream.abort()
            raise
        return upstream

    def _raise_if_over(self) -> None:
        """Raise where it was ended before it was open."""
        if self._client_gone:
            raise ClientGone
        if self._denial is not None:
            raise Denied(self._denial)

    # --- Ending

    def _end(self, code: int, reason: str) -> None:
        """Close both sides with this code and reason (RFC 6455 §5.5.1), unless that has begun."""
        if self._state is State.OPEN:
            self._enter(State.CLOSING)
            self._parting = code, reason
            self._client.detach()
            self._upstream.detach()
            self._over.set()

    async def _close(self) -> None:
        seconds = LAST_SECONDS if self._denial is None else _CUT_SECONDS
        try:
            async with asyncio.timeout(seconds) as self._deadline:
                await asyncio.gather(self._client.end(*self._parting), self._upstream.end(*self._parting))
        except TimeoutError:
            pass  # what was not taken by now is given up
        finally:
            self._upstream.abort()
            self._client.abort()
            self._gateway.registry.remove(self)
            self._enter(State.CLOSED)
