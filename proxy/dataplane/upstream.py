"""The one upstream, through one pooled client per worker."""

import ssl
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from proxy.dataplane.config import Config
from proxy.dataplane.denials import UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, Denial
from proxy.dataplane.headers import Headers, has_controls

# What the client would add by itself; the client's own headers are what is sent.
_NOTHING_ADDED = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


class BrokenAnswer(aiohttp.ClientError):
    """The upstream's status or a header cannot be passed on."""


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
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket with these subprotocols offered. Raises one of `FAILURES`."""
        return await self._websockets.ws_connect(
            self._url(self._scheme, path, query),
            headers=_text(headers),
            protocols=protocols,
            max_msg_size=self._max_message_bytes + 1,  # the first size that is refused
            autoping=True,
            heartbeat=30,
            autoclose=False,
        )

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
