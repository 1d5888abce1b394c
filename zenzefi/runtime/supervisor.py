"""The parent of `WORKERS` gateway processes: it starts them on one port and replaces what dies or hangs.

uvicorn's own supervisor does not fit: its workers answer pings from a thread, which says nothing of their event loop,
it replaces what dies without a pause and holds the port while they leave, and they outlive it when it is killed.
"""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable

from django.conf import settings
from prometheus_client.multiprocess import mark_process_dead

from zenzefi.runtime.demo_upstream import demo_upstream
from zenzefi.runtime.exit_signals import call_on_exit_signal

logger = logging.getLogger(__name__)

# Seconds without a sign of life after which a worker is killed: while it starts, serves, and (beyond DRAIN_SECONDS,
# when it beats no more) leaves.
STARTING_SECONDS, SERVING_SECONDS, LEAVING_SECONDS = 60, 10, 10
# A worker that did not live for so long is replaced after a pause, which doubles up to the longest.
STEADY_SECONDS, LONGEST_PAUSE_SECONDS = 30.0, 30.0


def run(gateway: list[socket.socket], upstream: socket.socket | None, on_ready: Callable[[], None]) -> bool:
    """Serve with `WORKERS` processes until SIGINT, SIGTERM or the end of the terminal; whether it had started at all.

    `on_ready` is called once, when all of them serve. The demo upstream, if any, runs in this process.
    """
    with tempfile.TemporaryDirectory(prefix="zenzefi-metrics-") as metrics:
        return asyncio.run(_Supervisor(gateway, metrics, on_ready).serve(upstream))


class _Worker:
    """A gateway process and the reading end of its pulse. To be made within the event loop."""

    def __init__(self, sockets: list[socket.socket], metrics: str, on_ready: Callable[[], None]) -> None:
        """The first of the sockets is its own, the others it looks after."""
        self._pulse, pulse = os.pipe()
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "serve", "--skip-checks"]
        descriptors = [pulse, *(each.fileno() for each in sockets)]
        self._process = subprocess.Popen(  # noqa: S603
            [*command, "--worker", *map(str, descriptors)],
            pass_fds=descriptors,
            # prometheus_client reads it when it is imported.
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": metrics},
            stdin=subprocess.DEVNULL,
            process_group=0,  # the terminal's Ctrl-C is for the parent, which tells the workers once
        )
        os.close(pulse)
        self.pid = self._process.pid
        self.ready = False
        self._on_ready = on_ready
        self._silent = 0
        self._gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._pulse, self._read)

    def _read(self) -> None:
        if os.read(self._pulse, 65_536):
            self._silent = 0
            if not self.ready:
                self.ready = True
                logger.info("worker %d serves", self.pid)
                self._on_ready()
        else:
            asyncio.get_running_loop().remove_reader(self._pulse)
            os.close(self._pulse)
            self._gone.set()

    async def ended(self, patience: Callable[["_Worker"], int]) -> str:
        """How it ended, when it has; one that is silent for longer than `patience` seconds is killed."""
        while not await _set_within(self._gone, 1):
            # Counted by the second, so that a machine that slept does not lose its workers.
            self._silent += 1
            if self._silent > patience(self):
                logger.error("worker %d gave no sign of life for %d s and is killed", self.pid, self._silent)
                self._silent = 0
                self.signal(signal.SIGKILL)
        status = self._process.wait()
        return f"exit status {status}" if status >= 0 else signal.Signals(-status).name

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


class _Supervisor:
    def __init__(self, gateway: list[socket.socket], metrics: str, on_ready: Callable[[], None]) -> None:
        self._gateway = gateway
        self._metrics = metrics
        self._on_ready = on_ready
        self._workers: set[_Worker] = set()
        self._started = False
        self._leaving = asyncio.Event()

    async def serve(self, upstream: socket.socket | None) -> bool:
        loop = asyncio.get_running_loop()

        def leave(number: int) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._told, number)

        call_on_exit_signal(leave)
        async with demo_upstream(upstream), asyncio.TaskGroup() as workers:
            for number in range(settings.WORKERS):
                workers.create_task(self._keep_one(number), name=f"worker {number}")
        return self._started

    async def _keep_one(self, number: int) -> None:
        """Run one worker, and another in its place for as long as nothing says to leave."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        first = number % len(self._gateway)
        sockets = self._gateway[first:] + self._gateway[:first]
        while not self._leaving.is_set():
            since = loop.time()
            worker = _Worker(sockets, self._metrics, self._note_ready)
            self._workers.add(worker)
            how = await worker.ended(self._patience)
            self._workers.remove(worker)
            mark_process_dead(worker.pid, self._metrics)  # type: ignore[no-untyped-call]
            if self._leaving.is_set():
                return
            if not self._started:
                logger.critical("a worker could not start (%s)", how)
                self._leave(signal.SIGKILL)
                return
            pause = 0.0 if loop.time() - since > STEADY_SECONDS else min(2 * pause + 0.5, LONGEST_PAUSE_SECONDS)
            logger.error("worker %d ended (%s) and is replaced in %.1f s", worker.pid, how, pause)
            await _set_within(self._leaving, pause)

    def _patience(self, worker: _Worker) -> int:
        if self._leaving.is_set():
            return settings.DRAIN_SECONDS + LEAVING_SECONDS
        return SERVING_SECONDS if worker.ready else STARTING_SECONDS

    def _note_ready(self) -> None:
        if not self._started and sum(worker.ready for worker in self._workers) == settings.WORKERS:
            self._started = True
            self._on_ready()

    def _told(self, number: int) -> None:
        """The first signal lets all workers leave; another Ctrl-C does not wait for them."""
        if not self._leaving.is_set():
            self._leave(signal.SIGTERM)
        elif number == signal.SIGINT:
            self._leave(signal.SIGKILL)

    def _leave(self, number: signal.Signals) -> None:
        self._leaving.set()
        # The workers have them; a copy kept open would let clients wait at a port that nobody serves.
        for each in self._gateway:
            each.close()
        for worker in self._workers:
            worker.signal(number)
