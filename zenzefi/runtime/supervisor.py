"""The parent of `WORKERS` gateway processes: it starts them on one port and replaces those that exit or hang.

uvicorn's own supervisor does not fit. Its workers respond to pings from a thread, even if their event loop hangs. It
replaces workers without a pause, keeps the port open during a shutdown, and its workers survive it if it is killed.
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

# Seconds without a heartbeat after which a worker is killed: at its start, while it serves, and in a shutdown.
# A worker that shuts down sends none, so there they are added to DRAIN_SECONDS.
START_SECONDS, SERVE_SECONDS, SHUTDOWN_SECONDS = 60, 10, 10
# A worker that exits earlier than this is replaced after a pause, which doubles up to the maximum.
STABLE_SECONDS, MAX_PAUSE_SECONDS = 30.0, 30.0


def run(gateway: list[socket.socket], upstream: socket.socket | None, on_ready: Callable[[], None]) -> bool:
    """Serve with `WORKERS` processes until an exit signal. Return whether all of them had started.

    `on_ready` is called once, when all workers serve. The demo upstream, if any, runs in this process.
    """
    with tempfile.TemporaryDirectory(prefix="zenzefi-metrics-") as metrics:
        return asyncio.run(_Supervisor(gateway, metrics, on_ready).serve(upstream))


class _Worker:
    """A gateway process, and the pipe of its heartbeats. Must be created within the event loop."""

    def __init__(self, sockets: list[socket.socket], metrics: str, on_ready: Callable[[], None]) -> None:
        """Start the process. The first socket is its own; from the others it accepts overdue connections."""
        self._heartbeats, heartbeats = os.pipe()
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "serve", "--skip-checks"]
        descriptors = [heartbeats, *(each.fileno() for each in sockets)]
        self._process = subprocess.Popen(  # noqa: S603
            [*command, "--worker", *map(str, descriptors)],
            pass_fds=descriptors,
            # prometheus_client reads it during its import.
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": metrics},
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C signals only the parent, which then signals each worker once
        )
        os.close(heartbeats)
        self.pid = self._process.pid
        self.ready = False
        self._on_ready = on_ready
        self._silent_seconds = 0
        self._exited = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._heartbeats, self._read_heartbeats)

    def _read_heartbeats(self) -> None:
        if os.read(self._heartbeats, 65_536):
            self._silent_seconds = 0
            if not self.ready:
                self.ready = True
                logger.info("worker_ready", extra={"pid": self.pid})
                self._on_ready()
        else:
            asyncio.get_running_loop().remove_reader(self._heartbeats)
            os.close(self._heartbeats)
            self._exited.set()

    async def wait(self, max_silence: Callable[["_Worker"], int]) -> str:
        """Wait for the process to exit, and return the reason.

        Kill it after more than `max_silence` seconds without a heartbeat.
        """
        while not await _set_within(self._exited, 1):
            # Counted in steps, so that the workers survive if the machine was suspended.
            self._silent_seconds += 1
            if self._silent_seconds > max_silence(self):
                logger.error("worker_killed", extra={"pid": self.pid, "silent_seconds": self._silent_seconds})
                self._silent_seconds = 0
                self.signal(signal.SIGKILL)
        status = self._process.wait()
        return f"exit status {status}" if status >= 0 else signal.Signals(-status).name

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event. Return whether it was set in time."""
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
        self._shutting_down = asyncio.Event()

    async def serve(self, upstream: socket.socket | None) -> bool:
        loop = asyncio.get_running_loop()

        def leave(number: int) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._handle_signal, number)

        call_on_exit_signal(leave)
        async with demo_upstream(upstream), asyncio.TaskGroup() as workers:
            for number in range(settings.WORKERS):
                workers.create_task(self._keep_worker(number), name=f"worker {number}")
        return self._started

    async def _keep_worker(self, number: int) -> None:
        """Run a worker, and replace it whenever it exits, until the shutdown."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        first = number % len(self._gateway)
        sockets = self._gateway[first:] + self._gateway[:first]
        while not self._shutting_down.is_set():
            since = loop.time()
            worker = _Worker(sockets, self._metrics, self._note_ready)
            self._workers.add(worker)
            reason = await worker.wait(self._max_silence)
            self._workers.remove(worker)
            mark_process_dead(worker.pid, self._metrics)  # type: ignore[no-untyped-call]
            if self._shutting_down.is_set():
                return
            if not self._started:
                logger.critical("worker_start_failed", extra={"reason": reason})
                self._shut_down(signal.SIGKILL)
                return
            pause = 0.0 if loop.time() - since > STABLE_SECONDS else min(2 * pause + 0.5, MAX_PAUSE_SECONDS)
            extra = {"pid": worker.pid, "reason": reason, "replaced_in_seconds": pause}
            logger.error("worker_exited", extra=extra)
            await _set_within(self._shutting_down, pause)

    def _max_silence(self, worker: _Worker) -> int:
        """Return the seconds without a heartbeat after which the worker is killed."""
        if self._shutting_down.is_set():
            return settings.DRAIN_SECONDS + SHUTDOWN_SECONDS
        return SERVE_SECONDS if worker.ready else START_SECONDS

    def _note_ready(self) -> None:
        if not self._started and sum(worker.ready for worker in self._workers) == settings.WORKERS:
            self._started = True
            self._on_ready()

    def _handle_signal(self, number: int) -> None:
        """Shut down on the first signal; on another Ctrl-C kill the workers."""
        if not self._shutting_down.is_set():
            self._shut_down(signal.SIGTERM)
        elif number == signal.SIGINT:
            self._shut_down(signal.SIGKILL)

    def _shut_down(self, number: signal.Signals) -> None:
        """Close the port and signal all workers."""
        self._shutting_down.set()
        # The workers have their own copies. Clients would wait at the port as long as one copy is open.
        for each in self._gateway:
            each.close()
        for worker in self._workers:
            worker.signal(number)
