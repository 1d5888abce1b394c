"""The one upstream, through one pooled client per worker."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from proxy.dataplane.config import Config
from proxy.dataplane.denials import BAD_REQUEST, UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, Denial, Denied
from proxy.dataplane.headers import Headers
from proxy.dataplane.http1 import Answer, BrokenAnswer, Connection, StaleConnection, UpstreamError
from proxy.dataplane.pool import Pool

# After so much silence either peer of a WebSocket is asked whether it lives; it has half of that to answer.
PING_SECONDS = 30.0
_CLOSING_FOR_EVER = aiohttp.ClientWSTimeout(ws_close=None)  # who closes sets the limit
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}
# What aiohttp would add by itself; the client's own headers are what is sent.
_NOTHING_ADDED = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


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
        self._after_target = b" HTTP/1.1\r\nhost: %b\r\n" % parts.netloc.encode()
        self._socket_scheme = parts.scheme
        self._max_message_bytes = config.max_message_bytes
        port = parts.port or _PORTS[parts.scheme]
        self.pool = Pool(parts.hostname or "", port, config.tls, config.connect_timeout)
        self._sockets = _websocket_session(config.tls, config.connect_timeout)

    async def request(
        self, method: str, target: bytes, headers: Headers, body: bytes | AsyncIterator[bytes] | None
    ) -> Answer:
        """Send a request for a path with its query, byte for byte, and give the answer as soon as its header block is
        there; whoever asked releases it.

        `headers` states the length of a body that is streamed, else it goes in chunks. Where the upstream had closed
        the idle connection, and the request is idempotent and without a body, it is sent once more (RFC 9110 §9.2.2,
        RFC 9112 §9.3.1). Raises one of `FAILURES`.
        """
        lines = [name + b": " + value for name, value in headers]
        stated = any(name == b"content-length" for name, _ in headers)
        whole = body if isinstance(body, bytes) else b""
        stream = body if body is not None and not isinstance(body, bytes) else None
        if body is not None and not stated:
            lines.append(b"content-length: %d" % len(whole) if stream is None else b"transfer-encoding: chunked")
        start = method.encode() + b" " + self.base_path + target + self._after_target
        message = start + b"\r\n".join(lines) + b"\r\n\r\n" + whole
        connection = self.pool.take() or await self.pool.connect()
        try:
            return await _answer(connection, method, message, stream, chunked=not stated)
        except StaleConnection:
            if body is not None or method not in _IDEMPOTENT:
                raise
            return await _answer(await self.pool.connect(), method, message, None, chunked=False)

    async def connect_websocket(
        self, path: bytes, query: bytes, headers: Headers, protocols: tuple[str, ...]
    ) -> UpstreamSocket:
        """Open a WebSocket with these subprotocols offered.

        Raises one of `FAILURES`, and `Denied` (`bad_request`) for a header that is not UTF-8, which aiohttp cannot
        send as it is.
        """
        opened = await self._sockets.ws_connect(
            # The host can be no other, whatever the path.
            URL.build(
                scheme=self._socket_scheme,
                authority=self._authority,
                path=(self.base_path + path).decode("latin-1"),
                query_string=query.decode("latin-1"),
                encoded=True,
            ),
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
        await self._sockets.close()
        await self.pool.close()


async def _answer(
    connection: Connection, method: str, message: bytes, stream: AsyncIterator[bytes] | None, *, chunked: bool
) -> Answer:
    answer = connection.request(method, message, stream, chunked=chunked)
    try:
        await answer.head()
    except BaseException:
        answer.release()
        raise
    return answer


def _websocket_session(tls: ssl.SSLContext | None, connect_timeout: float) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls or True, use_dns_cache=True, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_strict_handshake,),
        ws_response_class=UpstreamSocket,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
        auto_decompress=False,
        trust_env=False,
        skip_auto_headers=_NOTHING_ADDED,
        max_line_size=16 * 1024,
        max_field_size=32 * 1024,
    )
    # aiohttp would try again whatever died.
    session._retry_connection = False  # noqa: SLF001  (aiohttp offers no other way)
    return session


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


FAILURES = (UpstreamError, aiohttp.ClientError, TimeoutError, OSError)


def _text(headers: Headers) -> list[tuple[str, str]]:
    try:
        return [(name.decode("latin-1"), value.decode("utf-8")) for name, value in headers]
    except UnicodeDecodeError as error:
        raise Denied(BAD_REQUEST) from error
