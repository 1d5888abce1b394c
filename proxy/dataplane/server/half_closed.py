"""Clients that have closed their side of the connection while a response is awaited: do they wait, or have they left?

TCP shows the same for both until something is sent: a client that has left resets the connection then.
"""

import select
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy.dataplane.server.closing import ClosingProtocol

# How long a response may be silent before the client is considered to have left: one that keeps connections alive
# closes its side only to leave, as far as nothing shows the opposite.
LEAVING_SECONDS = 0.7
# The same for a client that has asked to close the connection after the response, or has taken data since its close.
WAITING_SECONDS = 30.0


class Presence:
    """Ends the connection of a client that has left, from the moment when it has closed its side."""

    def __init__(self, connection: "ClosingProtocol") -> None:
        self._connection = connection
        self._loop = connection.loop
        transport: Any = connection.transport
        self._transport = transport
        self._silent_since = self._loop.time()
        self._transport.has_written = False
        self._was_sent_data = self._has_taken_data = False
        self._timer = self._loop.call_later(LEAVING_SECONDS, self._check)

    def stop(self) -> None:
        """Check no more."""
        self._timer.cancel()

    def _check(self) -> None:
        if self._is_reset() or self._is_silent_too_long():
            self._connection.abort()
        else:
            self._timer = self._loop.call_later(LEAVING_SECONDS, self._check)

    def _is_silent_too_long(self) -> bool:
        now = self._loop.time()
        if self._transport.has_written or self._connection.flow.write_paused:
            self._transport.has_written = False
            self._was_sent_data = True
            self._silent_since = now
        elif self._was_sent_data:  # before the last check; a client that had left would have reset the connection
            self._has_taken_data = True
        return now - self._silent_since >= self._patience

    @property
    def _patience(self) -> float:
        connection = self._connection
        # Only an exchange with the upstream is ended early; the site and the API are done soon.
        waits = self._has_taken_data or connection.client_closes or connection.on_lost is None
        return WAITING_SECONDS if waits else LEAVING_SECONDS / 2

    def _is_reset(self) -> bool:
        """Return whether the client has reset the connection. The event loop reads no more, and does not notice."""
        ended = select.poll()
        ended.register(self._transport.get_extra_info("socket").fileno(), 0)  # POLLERR and POLLHUP only
        return bool(ended.poll(0))
