"""The client of the one upstream: requests over the connections that this worker keeps alive."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from proxy.dataplane.config import Config
from proxy.dataplane.rules.headers import Headers
from proxy.dataplane.upstream.errors import StaleConnection
from proxy.dataplane.upstream.http1 import Connection, Response
from proxy.dataplane.upstream.pool import Pool

_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}


class Upstream:
    """Sends requests to `ZENZEFI_TARGET_URL`; redirects, cookies and encodings are not interpreted."""

    def __init__(self, config: Config) -> None:
        parts = urlsplit(config.target_url)
        self.origin = f"{parts.scheme}://{parts.netloc}".encode()
        self.base_path = parts.path.encode()
        self._after_target = b" HTTP/1.1\r\nhost: %b\r\n" % parts.netloc.encode()
        port = parts.port or _PORTS[parts.scheme]
        self.pool = Pool(parts.hostname or "", port, config.tls, config.connect_timeout)

    async def request(
        self, method: str, target: bytes, headers: Headers, body: bytes | AsyncIterator[bytes] | None
    ) -> Response:
        """Send a request and return its response as soon as its header block is complete; the caller releases it.

        `target` is the path with its query, sent byte for byte. A streamed body is sent in chunks unless `headers`
        states its length. If the upstream had closed the idle connection, a request that is idempotent and has no
        body is sent once more (RFC 9110 §9.2.2, RFC 9112 §9.3.1). Raises one of `FAILURES`.
        """
        lines = [name + b": " + value for name, value in headers]
        stated = any(name == b"content-length" for name, _ in headers)
        whole = body if isinstance(body, bytes) else b""
        stream = body if body is not None and not isinstance(body, bytes) else None
        if body is not None and not stated:
            lines.append(b"content-length: %d" % len(whole) if stream is None else b"transfer-encoding: chunked")
        message = self.request_start(method, target) + b"\r\n".join(lines) + b"\r\n\r\n" + whole
        connection = self.pool.take() or await self.pool.connect()
        try:
            return await _response(connection, method, message, stream, chunked=not stated)
        except StaleConnection:
            if body is not None or method not in _IDEMPOTENT:
                raise
            return await _response(await self.pool.connect(), method, message, None, chunked=False)

    def request_start(self, method: str, target: bytes) -> bytes:
        """Return the request line and the `Host` field, which is the upstream's for every target."""
        return method.encode() + b" " + self.base_path + target + self._after_target

    async def close(self) -> None:
        """Close all connections."""
        await self.pool.close()


async def _response(
    connection: Connection, method: str, message: bytes, stream: AsyncIterator[bytes] | None, *, chunked: bool
) -> Response:
    response = connection.request(method, message, stream, chunked=chunked)
    try:
        await response.head()
    except BaseException:
        response.release()
        raise
    return response
