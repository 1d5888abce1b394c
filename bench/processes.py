"""Server processes of the benchmark: each has its own process group and a log file, and ends with the benchmark."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 60
_END_SECONDS = 10


class BenchFailed(Exception):
    """The benchmark cannot continue, or its figures cannot be trusted; the message has the reason."""


def executable(name: str) -> str:
    """Return the path of a program. Debian's nginx is in /usr/sbin, which not every PATH contains."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin")
    if path is None:
        raise BenchFailed(
            f"{name} is missing. Install what the benchmark needs: `apt-get install nginx wrk redis-server`."
        )
    return path


def free_ports(count: int) -> list[int]:
    """Return distinct unused ports of the loopback interface."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def is_listening(port: int) -> bool:
    """Return whether a server accepts connections on the loopback port."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def environment(**settings: str) -> dict[str, str]:
    """Return these settings with a minimal environment, so the caller's variables cannot change the figures."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **settings}


@contextlib.contextmanager
def running(command: list[str], log: Path, env: dict[str, str], ready: Callable[[], bool]) -> Iterator[None]:
    """Start a server and wait until it is ready; terminate it and its children at the end of the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(process, log, ready)
        yield
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            output = log.read_text(errors="replace")[-2000:].strip()
            raise BenchFailed(f"{log.stem} did not start. Its output:\n{output}")
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
