"""`manage.py serve` in its own process."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from zenzefi.testing import DOCUMENTED

ROOT = Path(__file__).parents[3]
READY_SECONDS = 60
# The test session has collected them.
_STATIC = {"STATIC_ROOT": os.environ["STATIC_ROOT"]}


def free_port() -> int:
    """Return a port that no program uses.

    It is below the range from which the kernel takes ports for outgoing connections, and each parallel test process
    has a range of its own, so that no one else takes the port before the program that gets it.
    """
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = 10_000 + 4_000 * process + secrets.randbelow(4_000)
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def is_refused(port: int) -> bool:
    """Return whether no program listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def wait_until(condition: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    """Wait for the condition to hold. Raise `AssertionError` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.05)


def environment_of(data_dir: Path, **settings: str) -> dict[str, str]:
    """Return this process's environment with free ports, these settings and no others."""
    clean = {name: value for name, value in os.environ.items() if name not in DOCUMENTED}
    ports = {"PORT": str(free_port()), "DEMO_UPSTREAM_PORT": str(free_port())}
    return {**clean, "ENV_FILE": os.devnull, "DATA_DIR": str(data_dir), **_STATIC, **ports, **settings}


class Command:
    """A process of `manage.py serve` with its own data folder."""

    arguments: tuple[str, ...] = ("serve",)

    def __init__(self, data_dir: Path, **settings: str) -> None:
        environment = environment_of(data_dir, **settings)
        self.port = int(environment["PORT"])
        self._output_file = data_dir / f"output-{time.monotonic_ns()}"
        with self._output_file.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", *self.arguments],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """Return all that the process has printed."""
        return self._output_file.read_text()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log records of the event."""
        records = [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]
        return [record for record in records if record["event"] == event]

    def wait_ready(self) -> str:
        """Wait until the gateway is ready. Return what it has printed."""
        deadline = time.monotonic() + READY_SECONDS
        while "Press Ctrl-C to stop." not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)
        return self.output

    @property
    def credentials(self) -> dict[str, str]:
        """Return the headers of the printed curl line."""
        return dict(re.findall(r"-H '(.+?): (.+?)'", self.output))

    def processes(self) -> list[int]:
        """Return the ids of the living processes of the command's session."""
        listing = subprocess.run(
            ["ps", "-o", "pid=,stat=", "--sid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        rows = [line.split() for line in listing.stdout.splitlines()]
        return [int(pid) for pid, state in rows if not state.startswith("Z")]

    def end(self, number: signal.Signals) -> int:
        """Send the signal. Return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(20)


Serve = Callable[..., Command]
