"""Failures of the upstream, and the denial that the client gets for each."""

from proxy.dataplane.errors import UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, Denial


class UpstreamError(Exception):
    """The upstream cannot be reached, or broke the protocol."""


class InvalidResponse(UpstreamError):
    """A response that cannot be forwarded."""


class ConnectionLost(UpstreamError):
    """The connection ended before the response did."""


class StaleConnection(ConnectionLost):
    """A kept-alive connection was dead: not one byte of a response came."""


# All that a request or a handshake to the upstream may raise.
FAILURES = (UpstreamError, TimeoutError, OSError)


def denial_for(error: Exception) -> Denial:
    """Return the denial for a failure of the upstream."""
    return UPSTREAM_TIMEOUT if isinstance(error, TimeoutError) else UPSTREAM_UNREACHABLE
