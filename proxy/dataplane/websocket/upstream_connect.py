"""Connection of an admitted WebSocket to the upstream."""

import asyncio

from proxy.dataplane.rules.headers import Headers
from proxy.dataplane.upstream.client import Upstream
from proxy.dataplane.websocket.upstream_end import UpstreamEnd


async def connect_upstream(
    upstream: Upstream, target: bytes, headers: Headers, protocols: tuple[str, ...], max_message_bytes: int
) -> UpstreamEnd:
    """Open a WebSocket to the upstream with these subprotocols offered.

    Raises one of `proxy.dataplane.upstream.errors.FAILURES`.
    """
    end = UpstreamEnd(asyncio.get_running_loop(), protocols, max_message_bytes)
    await upstream.pool.establish(end)
    try:
        await end.handshake(upstream.request_start("GET", target), headers)
    except BaseException:
        end.abort()
        raise
    return end
