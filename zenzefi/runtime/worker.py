"""One of several gateway processes, started by the supervisor in a fresh interpreter."""

import contextlib
import os
import signal
import socket

from zenzefi.runtime.gateway import Gateway
from zenzefi.runtime.server import serve

_TICKS_PER_HEARTBEAT = 10  # uvicorn ticks ten times a second


class _Worker(Gateway):
    """A gateway that writes a heartbeat, one byte, to a pipe when it is ready and then each second.

    The event loop writes them, so they stop if it hangs.
    """

    def __init__(self, heartbeats: int, others: list[socket.socket]) -> None:
        super().__init__(self._beat, others)
        self._heartbeats = heartbeats

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_PER_HEARTBEAT == 0:
            self._beat()
        return await super().on_tick(counter)

    def _beat(self) -> None:
        try:
            with contextlib.suppress(BlockingIOError):  # the pipe is full of unread heartbeats
                os.write(self._heartbeats, b".")
        except BrokenPipeError:  # the supervisor is gone
            self.should_exit = True


def run(heartbeats: int, own: int, *others: int) -> bool:
    """Serve on inherited sockets until SIGTERM or the end of the supervisor. Return whether the worker had started.

    The arguments are descriptors.
    """
    os.set_blocking(heartbeats, False)
    worker = _Worker(heartbeats, [socket.socket(fileno=other) for other in others])

    def leave(_signal: int, _frame: object) -> None:
        worker.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    return serve(worker, [socket.socket(fileno=own)])
