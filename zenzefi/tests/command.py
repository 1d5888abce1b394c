"""`manage.py serve` as a process of its own, for tests."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from zenzefi.testing import DOCUMENTED

ROOT = Path(__file__).parents[2]
READY_SECONDS = 60
# Collected once, by the session.
_STATIC = {"STATIC_ROOT": os.environ["STATIC_ROOT"]}


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_refused(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def wait_until(holds: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def environment_of(data_dir: Path, **settings: str) -> dict[str, str]:
    """This process's environment with no settings but these, on free ports."""
    clean = {name: value for name, value in os.environ.items() if name not in DOCUMENTED}
    ports = {"PORT": str(free_port()), "DEMO_UPSTREAM_PORT": str(free_port())}
    return {**clean, "ENV_FILE": os.devnull, "DATA_DIR": str(data_dir), **_STATIC, **ports, **settings}


class Command:
    """`manage.py serve` with its own data folder."""

    arguments: tuple[str, ...] = ("serve",)

    def __init__(self, data_dir: Path, **settings: str) -> None:
        environment = environment_of(data_dir, **settings)
        self.port = int(environment["PORT"])
        self.output = data_dir / f"output-{time.monotonic_ns()}"
        with self.output.open("w") as output:
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
    def said(self) -> str:
        return self.output.read_text()

    def wait_ready(self) -> str:
        deadline = time.monotonic() + READY_SECONDS
        while "Ctrl-C ends it." not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)
        return self.said

    @property
    def credentials(self) -> dict[str, str]:
        """The headers of the printed curl line."""
        return dict(re.findall(r"-H '(.+?): (.+?)'", self.said))

    def processes(self) -> list[int]:
        """Every process of the command's session that lives."""
        listing = subprocess.run(
            ["ps", "-o", "pid=,stat=", "--sid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        rows = [line.split() for line in listing.stdout.splitlines()]
        return [int(pid) for pid, state in rows if not state.startswith("Z")]

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


Serve = Callable[..., Command]
