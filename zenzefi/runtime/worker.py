"""One of several gateway processes, started by the supervisor: a fresh interpreter with inherited descriptors."""

import contextlib
import os
import signal
import socket

from zenzefi.runtime.gateway import Gateway
from zenzefi.runtime.server import serve

_TICKS_A_BEAT = 10  # uvicorn ticks ten times a second


class _Worker(Gateway):
    """Writes a byte into a pipe when it is ready, and each second for as long as its event loop turns."""

    def __init__(self, pulse: int, others: list[socket.socket]) -> None:
        super().__init__(self._beat, others)
        self._pulse = pulse

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_A_BEAT == 0:
            self._beat()
        return await super().on_tick(counter)

    def _beat(self) -> None:
        try:
            with contextlib.suppress(BlockingIOError):  # so much unread that one more tells nothing
                os.write(self._pulse, b".")
        except BrokenPipeError:  # nobody supervises any more
            self.should_exit = True


def run(pulse: int, own: int, *others: int) -> bool:
    """Serve on inherited sockets until SIGTERM or the end of the supervisor; whether it had started at all."""
    os.set_blocking(pulse, False)
    worker = _Worker(pulse, [socket.socket(fileno=other) for other in others])

    def leave(_signal: int, _frame: object) -> None:
        worker.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    return serve(worker, [socket.socket(fileno=own)])
