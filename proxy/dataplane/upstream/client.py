"""The one upstream: requests through the connections that a worker keeps, and WebSockets."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from proxy.dataplane.config import Config
from proxy.dataplane.errors import UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, Denial
from proxy.dataplane.rules.headers import Headers
from proxy.dataplane.upstream.http1 import Answer, Connection, StaleConnection, UpstreamError
from proxy.dataplane.upstream.pool import Pool
from proxy.dataplane.websocket.upstream_end import UpstreamSocket

_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}


class Upstream:
    """Requests and WebSockets to `ZENZEFI_TARGET_URL`; redirects, cookies and encodings are left alone."""

    def __init__(self, config: Config) -> None:
        parts = urlsplit(config.target_url)
        self.origin = f"{parts.scheme}://{parts.netloc}".encode()
        self.base_path = parts.path.encode()
        self._after_target = b" HTTP/1.1\r\nhost: %b\r\n" % parts.netloc.encode()
        self._max_message_bytes = config.max_message_bytes
        port = parts.port or _PORTS[parts.scheme]
        self.pool = Pool(parts.hostname or "", port, config.tls, config.connect_timeout)

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
        message = self._start(method, target) + b"\r\n".join(lines) + b"\r\n\r\n" + whole
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
        """Open a WebSocket with these subprotocols offered. Raises one of `FAILURES`."""
        opened = UpstreamSocket(asyncio.get_running_loop(), protocols, self._max_message_bytes)
        await self.pool.establish(opened)
        try:
            await opened.handshake(self._start("GET", path + (b"?" + query if query else b"")), headers)
        except BaseException:
            opened.abort()
            raise
        return opened

    def _start(self, method: str, target: bytes) -> bytes:
        """The request line and the field that is always the same; the host can be no other, whatever the target."""
        return method.encode() + b" " + self.base_path + target + self._after_target

    async def close(self) -> None:
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


def denial_of(error: Exception) -> Denial:
    """How a failure of the upstream is answered."""
    return UPSTREAM_TIMEOUT if isinstance(error, TimeoutError) else UPSTREAM_UNREACHABLE


FAILURES = (UpstreamError, TimeoutError, OSError)
