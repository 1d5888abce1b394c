"""The ways in which a client's connection ends: after a response, by the client, by a limit, or with the server."""

import asyncio
import select
import socket
import struct
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from proxy.dataplane import plane
from proxy.dataplane.errors import Denial
from proxy.dataplane.server.half_closed import Presence
from proxy.dataplane.server.lingering import SHUTDOWN_SECONDS, Lingering
from proxy.dataplane.server.request_parser import RequestParser
from proxy.dataplane.server.response_cycle import ResponseCycle
from proxy.dataplane.transport import CoalescingTransport

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: reset when closed


class ClosingProtocol(RequestParser):
    """The part of a connection's protocol that ends the connection."""

    # Called once when the connection is lost; then `lost` is true, and nothing can be sent.
    on_lost: Callable[[], None] | None = None
    lost = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        gateway = plane.current()
        self._idle = gateway.idle_connections
        self.timeout_keep_alive = gateway.config.keepalive  # type: ignore[assignment]  # uvicorn's are whole seconds
        self._pending = 0  # bytes since the last header block, piece of a body or end of a request
        self._earlier: deque[RequestResponseCycle] = deque()  # pipelined before `cycle`
        self._pending_denial: Denial | None = None  # sent after the responses to earlier requests
        self._stopped = False  # reading, because of a denial or the end of the connection
        self._half_closed = False  # by the client, after its last request
        self.client_closes = False  # the last request asks to close the connection after its response
        self._head_timer: asyncio.TimerHandle | None = None  # only while no request is read or handled
        self._presence: Presence | None = None  # only if the client has closed its side

    @abstractmethod
    def _head_is_late(self) -> None:
        """End a connection whose next header block did not come in time."""

    @property
    def _has_begun_next(self) -> bool:
        """Return whether a part of the request after the last complete one has come."""
        return self.cycle is not None and self.scope is not self.cycle.scope

    def close_after_response(self) -> None:
        """Close the connection after the response, which says `Connection: close` if it can (RFC 9112 §9.6)."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def end(self, cycle: RequestResponseCycle) -> None:
        """Close the connection after this response, the last one."""
        unread = cycle.more_body or bool(self.pipeline) or self._pending > 0 or self._has_unread_input()
        self._close_or_linger(linger=unread or not self.client_closes)

    def _close_or_linger(self, *, linger: bool) -> None:
        if linger and not self._half_closed:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Close this side only, because the client may still be sending."""
        if self.transport.is_closing():
            return
        self._stopped = True
        self.pipeline.clear()
        self.flow.resume_reading()
        self._stop_timers()
        transport: Any = self.transport
        if isinstance(transport, CoalescingTransport):
            transport = transport.release()
        self.connections.discard(transport.get_protocol())
        Lingering(transport, self.connections, self.loop, self._mark_lost)
        self._forget()
        self.parser = None  # type: ignore[assignment]  # like uvicorn at the end of a connection

    def _has_unread_input(self) -> bool:
        """Return whether data has arrived that was not read yet, or the end of the client's side."""
        arrived = select.poll()
        arrived.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(arrived.poll(0))

    # --- By the client

    def _drop_last(self) -> RequestResponseCycle:
        """Drop the last of several requests that wait, and return the one before it."""
        self.pipeline.popleft()
        self.cycle = self._earlier.pop()
        return self.cycle

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn returns None, which closes the connection
        """Respond to the requests that are complete, although the client has closed its side, and then close.

        A client may do that after its last request (RFC 9112 §9.6). If a request is cut short, the client has left.
        """
        cycle = self.cycle
        if cycle is not None and cycle.more_body and self.pipeline:
            cycle = self._drop_last()
        if cycle is None or cycle.more_body or cycle.response_complete:
            self.transport.close()
        elif not self._half_closed:
            self._half_closed = True
            self._stop_head_timer()
            if self._pending_denial is None:
                self.close_after_response()
            self._presence = Presence(self)
        return True  # the connection stays open until it is closed here

    # --- By a limit, or with the server

    def retire(self) -> None:
        """Close an idle connection, unless a request has arrived that was not read yet."""
        if not self.transport.is_closing() and not self._has_unread_input():
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, which was idle for too long."""
        self._idle.discard(self)
        self.retire()

    def shutdown(self) -> None:
        """Close the connection after its response because the server stops, or now if it is idle."""
        cycle = self.cycle
        if cycle is not None and (not cycle.response_complete or cycle.more_body):
            cycle.keep_alive = False
            if cycle.response_complete:
                self._linger()
        elif self._pending or self._has_begun_next or self._has_unread_input():
            self._stop_head_timer()
            self._head_timer = self.loop.call_later(SHUTDOWN_SECONDS, self._head_is_late)
        else:
            self.transport.close()

    # --- Ended

    def _disconnect(self) -> None:
        """End sending and receiving for all requests; uvicorn does this for the last pipelined request only."""
        for cycle in (*self._earlier, self.cycle):
            cycle.disconnected = True
            cycle.message_event.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._idle.discard(self)
        self._stop_timers()
        self._mark_lost()
        self._forget()

    def _forget(self) -> None:
        """Drop the references that lead back to this object.

        Otherwise the memory of a connection, a megabyte if its header block was too large, would stay until a full
        garbage collection, which comes after thousands of connections.
        """
        self.scope, self.headers, self.cycle = {}, [], None  # type: ignore[typeddict-item, assignment]
        self._earlier.clear()

    def _mark_lost(self) -> None:
        if self.lost:
            return
        self.lost = True
        if self.cycle is not None:
            self._disconnect()
        if self.on_lost is not None:
            self.on_lost()

    def abort(self) -> None:
        """Close the connection at once, so that a response that was cut short cannot look complete."""
        if self.cycle is not None:
            self._disconnect()
            if isinstance(self.cycle, ResponseCycle) and self.cycle.until_close:  # a normal close would end the body
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def _stop_timers(self) -> None:
        self._unset_keepalive_if_required()
        self._stop_head_timer()
        if self._presence is not None:
            self._presence.stop()
            self._presence = None

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
