"""The one upstream, through one pooled client per worker."""

import asyncio
import functools
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from proxy.dataplane.config import Config
from proxy.dataplane.denials import UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, Denial
from proxy.dataplane.headers import Headers, has_controls

# After so much silence either peer of a WebSocket is asked whether it lives; it has half of that to answer.
PING_SECONDS = 30.0
_CLOSING_FOR_EVER = aiohttp.ClientWSTimeout(ws_close=None)  # who closes sets the limit
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
# What the client would add by itself; the client's own headers are what is sent.
_NOTHING_ADDED = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


class BrokenAnswer(aiohttp.ClientError):
    """The upstream's status or a header cannot be passed on."""


class StaleConnection(aiohttp.ClientConnectionError):
    """A connection that was kept alive was dead: not one byte of an answer came."""


class KeptAlive(ResponseHandler):
    """aiohttp's connection, which knows whether it died while it was idle. As soon as anything comes that no
    request asked for, it is given up: it would be the next client's answer (RFC 9112 §9.2).

    Tested against the pinned aiohttp; it relies on `set_response_params`, which begins each request, on
    `set_exception`, and of the connector on `_factory` and `_acquired`, the connections in use.
    """

    def __init__(self, in_use: set[ResponseHandler], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._in_use = in_use
        self._requests = 0
        self._heard = False

    def set_response_params(self, **params: Any) -> None:
        self._requests += 1
        self._heard = False
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        idle = data and self not in self._in_use  # aiohttp resumes a reading with nothing
        super().data_received(data)
        if idle or (self._buffer and self not in self._in_use):  # or more than the end of an answer came
            self.abort()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        lost = isinstance(exc, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError))
        if lost and self._requests > 1 and not self._heard:
            exc = StaleConnection()
        super().set_exception(exc, *cause)


class Pool(aiohttp.TCPConnector):
    """aiohttp's pool, of such connections."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = functools.partial(KeptAlive, self._acquired, self._loop)  # type: ignore[assignment]


class UpstreamSocket(aiohttp.ClientWebSocketResponse):
    """aiohttp's WebSocket, with an end that comes in time.

    Tested against the pinned aiohttp; it relies on `_pong_not_received`, `_reset_heartbeat`, `_set_closed`, `_writer`
    with its `protocol` and `transport`, and of the protocol on `_reading_paused` and `_payload_parser_failed`.
    """

    async def end(self, code: int, reason: str) -> None:
        """Close with this code and reason. The upstream may take its time; a cancellation ends it at once."""
        try:
            await self.close(code=code, message=reason.encode())
            if self._broken and (lost := self._handler.closed) is not None:
                await asyncio.shield(lost)
        except aiohttp.ClientError:
            pass  # it has left
        finally:
            self.abort()

    async def close(self, *, code: int = aiohttp.WSCloseCode.OK, message: bytes = b"") -> bool:
        """Where the upstream broke the protocol, only the close frame is sent: a connection that is closed while it
        sends on is reset, and the frame is lost with it (RFC 6455 §7.1.1). `end` does the rest."""
        if self.closed or not self._broken:
            return await super().close(code=code, message=message)
        self._set_closed()
        await self._writer.close(code, message)
        return True

    def abort(self) -> None:
        """Close the connection at once; without effect where it is closed."""
        self._response.close()
        self._writer.transport.abort()

    @property
    def _handler(self) -> Any:
        """aiohttp's `ResponseHandler`."""
        return self._writer.protocol

    @property
    def _broken(self) -> bool:
        return bool(self._handler._payload_parser_failed)  # noqa: SLF001  (aiohttp offers no other way)

    def _pong_not_received(self) -> None:
        if self._handler._reading_paused:  # noqa: SLF001  (as above)
            self._reset_heartbeat()  # its answer may lie unread, behind what the client does not take
        else:
            super()._pong_not_received()


class Upstream:
    """Requests and WebSockets to `ZENZEFI_TARGET_URL`; redirects, cookies and encodings are left alone."""

    def __init__(self, config: Config) -> None:
        parts = urlsplit(config.target_url)
        self.origin = f"{parts.scheme}://{parts.netloc}".encode()
        self.base_path = parts.path.encode()
        self._authority = parts.netloc
        self._scheme = parts.scheme
        self._max_message_bytes = config.max_message_bytes
        common: dict[str, Any] = {
            "timeout": aiohttp.ClientTimeout(total=None, sock_connect=config.connect_timeout),
            "auto_decompress": False,
            "trust_env": False,
            "skip_auto_headers": _NOTHING_ADDED,
            "max_line_size": 16 * 1024,
            "max_field_size": 32 * 1024,
        }
        tls = config.tls or True
        self._session = aiohttp.ClientSession(
            connector=Pool(limit=0, ssl=tls, use_dns_cache=True, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            **common,
        )
        # Connections for one use: one on which a handshake failed is never used again, and who tries once more must
        # not take another dead one.
        self._unpooled = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls, use_dns_cache=True, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_strict_handshake,),
            ws_response_class=UpstreamSocket,
            **common,
        )
        for session in (self._session, self._unpooled):
            # aiohttp would try again whatever died, also after a part of the answer, and with a body.
            session._retry_connection = False  # noqa: SLF001  (aiohttp offers no other way)

    def _url(self, scheme: str, path: bytes, query: bytes) -> URL:
        """The target with this path and query byte for byte; the host can be no other."""
        target = (self.base_path + path).decode("latin-1")
        return URL.build(
            scheme=scheme,
            authority=self._authority,
            path=target,
            query_string=query.decode("latin-1"),
            encoded=True,
        )

    async def request(
        self, method: str, path: bytes, query: bytes, headers: Headers, body: object
    ) -> aiohttp.ClientResponse:
        """Send a request and give the answer as soon as its header block is there.

        Where the upstream had closed the idle connection, and the request is idempotent and without a body, it is
        sent once more (RFC 9110 §9.2.2, RFC 9112 §9.3.1). Raises one of `FAILURES`.
        """
        url = self._url(self._scheme, path, query)
        options: dict[str, Any] = {"headers": _text(headers), "data": body, "allow_redirects": False}
        try:
            response = await self._session.request(method, url, **options)
        except StaleConnection:
            if body is not None or method not in _IDEMPOTENT:
                raise
            response = await self._unpooled.request(method, url, **options, middlewares=())
        if not 200 <= response.status <= 599 or has_controls(response.raw_headers):
            response.close()
            raise BrokenAnswer(response.status)
        return response

    async def connect_websocket(
        self, path: bytes, query: bytes, headers: Headers, protocols: tuple[str, ...]
    ) -> UpstreamSocket:
        """Open a WebSocket with these subprotocols offered. Raises one of `FAILURES`."""
        opened = await self._unpooled.ws_connect(
            self._url(self._scheme, path, query),
            headers=_text(headers),
            protocols=protocols,
            max_msg_size=self._max_message_bytes + 1,  # the first size that is refused
            autoping=True,
            heartbeat=PING_SECONDS,
            timeout=_CLOSING_FOR_EVER,
            autoclose=False,
        )
        return cast("UpstreamSocket", opened)

    async def close(self) -> None:
        await self._unpooled.close()
        await self._session.close()


async def _strict_handshake(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """What aiohttp lets pass: it would follow a redirect to any host, and overlook a subprotocol that was not
    offered (RFC 6455 §4.1)."""
    response = await handler(request)
    offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    chosen = response.headers.get("Sec-WebSocket-Protocol")
    if response.status != 101 or (chosen is not None and chosen not in offered):
        response.close()
        raise BrokenAnswer(response.status)
    return response


def denial_of(error: Exception) -> Denial:
    """How a failure of the upstream is answered."""
    return UPSTREAM_TIMEOUT if isinstance(error, TimeoutError) else UPSTREAM_UNREACHABLE


FAILURES = (aiohttp.ClientError, TimeoutError, OSError)


def _text(headers: Headers) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in headers]
