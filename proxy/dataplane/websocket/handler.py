"""The WebSocket side of the data plane: admits, connects the upstream's end with the client's, and closes both."""

import asyncio
from enum import Enum, auto
from http import HTTPStatus

from channels.consumer import AsyncConsumer

from proxy.dataplane import plane
from proxy.dataplane.admission.gate import Identity
from proxy.dataplane.asgi import CONNECTION, FORWARDED_FOR, Receive, Scope, Send
from proxy.dataplane.denials.log import RequestInfo, denial_details
from proxy.dataplane.denials.responses import request_id
from proxy.dataplane.errors import BAD_REQUEST, DRAINING, ClientGone, Denial, Denied
from proxy.dataplane.plane import DataPlane
from proxy.dataplane.records import Grant, Session
from proxy.dataplane.rules.forwarded_headers import client_headers, gateway_headers, upstream_headers
from proxy.dataplane.rules.headers import Headers, RequestHead, read_request
from proxy.dataplane.rules.paths import is_proxied, upstream_path
from proxy.dataplane.rules.proxy_host import is_on_proxy_host, prefix_of
from proxy.dataplane.upstream.errors import FAILURES, denial_for
from proxy.dataplane.websocket.client_end import ClientEnd
from proxy.dataplane.websocket.endpoint import LAST_SECONDS, join
from proxy.dataplane.websocket.upstream_connect import connect_upstream
from proxy.dataplane.websocket.upstream_end import UpstreamEnd

_INTERNAL_ERROR = 1011
# How long either side may take to close once the relay is cut off, in seconds: together with the second until a
# revocation is found, less than two. In other cases a side may first read what was sent to it.
_CUT_SECONDS = 0.75


class State(Enum):
    """The state of a relay."""

    CONNECTING = auto()  # the request is admitted and the upstream connected
    OPEN = auto()
    CLOSING = auto()  # both sides get the close frame
    CLOSED = auto()


_NEXT_STATES = {
    State.CONNECTING: {State.OPEN, State.CLOSED},
    State.OPEN: {State.CLOSING},
    State.CLOSING: {State.CLOSED},
    State.CLOSED: set(),
}


class WebSocketRelay(AsyncConsumer):  # type: ignore[misc]  # channels is untyped
    """One WebSocket; see `proxy.dataplane.sessions.in_flight.InFlight`."""

    grant: Grant
    session: Session
    _gateway: DataPlane
    _client: ClientEnd
    _upstream: UpstreamEnd

    def __init__(self) -> None:
        self._state = State.CONNECTING
        self._head = RequestHead()
        self._identity: Identity | None = None
        self._timeout: asyncio.Timeout | None = None  # of the current state
        self._client_gone = False
        self._denial: Denial | None = None
        self._ended = asyncio.Event()
        self._close_status = (_INTERNAL_ERROR, "")  # code and reason for both sides

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the relay, like the base class but without a channel layer and with only the first event."""
        self.scope, self.base_send = scope, send
        self._gateway, self._client = plane.current(), scope[CONNECTION]
        self._client.on_lost, self._client.on_shutdown = self._note_lost_client, self._drain
        try:
            await receive()
            await self.websocket_connect()
            if self._state is not State.CLOSED:
                await self._ended.wait()
        finally:
            self._end(_INTERNAL_ERROR, "")  # only if still open: after an error or a cancellation
            if self._state is State.CLOSING:
                await self._close()
            self._client.on_lost = self._client.on_shutdown = None

    def _enter(self, state: State) -> None:
        if state not in _NEXT_STATES[self._state]:
            raise RuntimeError(f"a WebSocket cannot go from {self._state.name} to {state.name}")
        self._state = state

    # --- Ends from outside

    def cut(self, denial: Denial) -> bool:
        """End the relay for this reason, and return False if it is already ending."""
        if self._denial is not None or self._state is State.CLOSED:
            return False
        self._denial = denial
        self._end(denial.close_code, denial.code)
        self._shorten_timeout()
        return True

    def overdue(self, _now: float) -> Denial | None:
        """Return None: an open WebSocket may be silent for any time."""
        return None

    def _drain(self) -> None:
        self._gateway.in_flight.cut(self, DRAINING)

    def _note_lost_client(self) -> None:
        self._client_gone = True
        if self._state is State.CONNECTING:
            self._shorten_timeout()

    def _shorten_timeout(self) -> None:
        if self._timeout is not None and not self._timeout.expired():
            seconds = 0 if self._state is State.CONNECTING else _CUT_SECONDS
            self._timeout.reschedule(asyncio.get_running_loop().time() + seconds)

    # --- Opening

    async def websocket_connect(self) -> None:
        """Admit the WebSocket and join its ends, or accept it and close it with the denial's code."""
        # Each subprotocol once, without empty ones (RFC 6455 §4.1, RFC 9110 §5.6.1).
        protocols = tuple(dict.fromkeys(filter(None, self.scope["subprotocols"])))
        identifier = request_id(dict(self.scope["headers"]).get(b"x-request-id", b""))
        try:
            self._upstream = await self._admit(protocols, identifier)
        except ClientGone:
            self._enter(State.CLOSED)
            self._gateway.metrics.denials["client_gone"] += 1
        except Denied as denied:
            self._enter(State.CLOSED)
            self._log_denial(denied, identifier)
            # Browsers hide the status of a refused handshake, so accept it, then close it with the reason.
            await self._accept(protocols[0] if protocols else None, [(b"x-request-id", identifier)])
            self._client.close(denied.denial.close_code, denied.denial.code)
        else:
            # No other task runs between here and `join`.
            self._enter(State.OPEN)
            headers = [*self._handshake_headers(), *gateway_headers(self.grant, identifier)]
            await self._accept(self._upstream.protocol, headers)
            join(self._client, self._upstream, self.session.count_bytes, self._end)

    def _handshake_headers(self) -> Headers:
        """Return the fields of the upstream's handshake response that go to the client, such as its cookies."""
        upstream = self._gateway.upstream
        headers = client_headers(
            HTTPStatus.SWITCHING_PROTOCOLS, self._upstream.headers, upstream.origin, upstream.base_path,
            prefix_of(self.scope),
        )  # fmt: skip
        return [pair for pair in headers if not pair[0].startswith(b"sec-websocket-")]

    def _log_denial(self, denied: Denied, identifier: bytes) -> None:
        denial, client = denied.denial, self.scope["client"]
        if self._identity is not None:
            self._identity.attach_to(denied)
        self._gateway.metrics.denials[denial.code] += 1
        device = denied.device.encode() or self._head.device
        request = RequestInfo(identifier, self.scope["raw_path"], client[0] if client else None, device, denied.token)
        self._gateway.denials.add(denial, denial.close_code, request, denial_details(denied))

    async def _accept(self, protocol: str | None, headers: Headers) -> None:
        await self.send({"type": "websocket.accept", "subprotocol": protocol, "headers": headers})

    async def _admit(self, protocols: tuple[str, ...], identifier: bytes) -> UpstreamEnd:
        """Return the upstream's end, connected for this WebSocket. Raises `Denied` or `ClientGone`."""
        raw_path, on_proxy_host = self.scope["raw_path"], is_on_proxy_host(self.scope)
        head = self._head = read_request(self.scope["headers"], self.scope.get("http_version", "1.1"))
        head.request_id = identifier
        # A handshake has no body: the gateway and the upstream would read one as frames.
        if not (on_proxy_host or is_proxied(raw_path)) or head.has_body:
            raise Denied(BAD_REQUEST)
        path, client = upstream_path(raw_path, prefix_of(self.scope)), self.scope["client"]
        self._identity, self.session = await self._gateway.gate.admit(
            head, path, on_proxy_host=on_proxy_host, ip=client[0] if client else None, unsafe=True
        )
        self.grant = self._identity.grant
        self._raise_if_over()
        self._gateway.in_flight.add(self)
        try:
            return await self._connect_upstream(head, path, protocols)
        except BaseException:
            self._gateway.in_flight.remove(self)
            raise

    async def _connect_upstream(self, head: RequestHead, path: bytes, protocols: tuple[str, ...]) -> UpstreamEnd:
        """Connect before the client is accepted, so that it gets the real subprotocol or the real failure."""
        scope, config, query = self.scope, self._gateway.config, self.scope["query_string"]
        chain = scope.get(FORWARDED_FOR) or (scope["client"] or ("unknown", 0))[0]
        headers = upstream_headers(head.passed, head, self.grant, chain, scope["scheme"])
        try:
            async with asyncio.timeout(config.upstream_timeout) as self._timeout:
                upstream = await connect_upstream(
                    self._gateway.upstream, path + (b"?" + query if query else b""), headers, protocols,
                    config.max_message_bytes,
                )  # fmt: skip
        except FAILURES as error:
            self._raise_if_over()
            raise Denied(denial_for(error)) from error
        finally:
            self._timeout = None
        try:
            self._raise_if_over()
        except (Denied, ClientGone):
            upstream.abort()
            raise
        return upstream

    def _raise_if_over(self) -> None:
        """Raise if the relay was ended before it was open."""
        if self._client_gone:
            raise ClientGone
        if self._denial is not None:
            raise Denied(self._denial)

    # --- Ending

    def _end(self, code: int, reason: str) -> None:
        """Begin to close both sides with this code and reason (RFC 6455 §5.5.1), unless that has begun."""
        if self._state is State.OPEN:
            self._enter(State.CLOSING)
            self._close_status = code, reason
            self._client.detach()
            self._upstream.detach()
            self._ended.set()

    async def _close(self) -> None:
        seconds = LAST_SECONDS if self._denial is None else _CUT_SECONDS
        try:
            async with asyncio.timeout(seconds) as self._timeout:
                await asyncio.gather(self._client.end(*self._close_status), self._upstream.end(*self._close_status))
        except TimeoutError:
            pass  # bytes that a side has not taken by now are dropped
        finally:
            self._upstream.abort()
            self._client.abort()
            self._gateway.in_flight.remove(self)
            self._enter(State.CLOSED)
