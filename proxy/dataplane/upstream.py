"""The one upstream, through one pooled client per worker."""

import asyncio
import ssl
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from proxy.dataplane.config import Config
from proxy.dataplane.denials import UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, Denial
from proxy.dataplane.headers import Headers, has_controls

# After so much silence either peer of a WebSocket is asked whether it lives; it has half of that to answer.
PING_SECONDS = 30.0
_CLOSING_FOR_EVER = aiohttp.ClientWSTimeout(ws_close=None)  # who closes sets the limit
# What the client would add by itself; the client's own headers are what is sent.
_NOTHING_ADDED = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


class BrokenAnswer(aiohttp.ClientError):
    """The upstream's status or a header cannot be passed on."""


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
        tls = _tls(config)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls, use_dns_cache=True, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            **common,
        )
        # Of its own, because a connection on which a handshake failed is never used again.
        self._websockets = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls, use_dns_cache=True, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_strict_handshake,),
            ws_response_class=UpstreamSocket,
            **common,
        )

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

        Raises one of `FAILURES`.
        """
        response = await self._session.request(
            method,
            self._url(self._scheme, path, query),
            headers=_text(headers),
            data=body,
            allow_redirects=False,
        )
        if not 200 <= response.status <= 599 or has_controls(response.raw_headers):
            response.close()
            raise BrokenAnswer(response.status)
        return response

    async def connect_websocket(
        self, path: bytes, query: bytes, headers: Headers, protocols: tuple[str, ...]
    ) -> UpstreamSocket:
        """Open a WebSocket with these subprotocols offered. Raises one of `FAILURES`."""
        opened = await self._websockets.ws_connect(
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
        await self._websockets.close()
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


def _tls(config: Config) -> ssl.SSLContext | bool:
    if not config.verify_tls:
        return False
    return ssl.create_default_context(cafile=config.ca_file) if config.ca_file else True
