"""A Redis server of its own for a test, with a password, TLS and a Unix socket."""

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import redis

from bench.processes import free_ports


class RedisServer:
    """A running `redis-server`; `tls` are the files of the certificate, its key and its authority."""

    def __init__(self, folder: Path, password: str, tls: tuple[str, str, str]) -> None:
        self.port, self.tls_port = free_ports(2)
        self.socket = f"{tempfile.mkdtemp(prefix='redis-')}/redis.sock"  # short: a path has at most 107 bytes
        self._admin = redis.Redis(port=self.port, password=password, decode_responses=True)
        certificate, key, authority = tls
        options = {
            "dir": str(folder),
            "save": "",
            "port": str(self.port),
            "tls-port": str(self.tls_port),
            "tls-cert-file": certificate,
            "tls-key-file": key,
            "tls-ca-cert-file": authority,
            "tls-auth-clients": "no",
            "unixsocket": self.socket,
            "requirepass": password,
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._log = folder / "redis.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(["redis-server", *arguments], stdout=log, stderr=log)

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 30
        while not self._responds():
            is_waiting = self._process.poll() is None and time.monotonic() < deadline
            assert is_waiting, self._log.read_text()
            time.sleep(0.05)
        self._monitor = self._admin.monitor()
        self._monitor.__enter__()
        self._admin.ping()  # connects again, as the monitor keeps the first connection
        return self

    def _responds(self) -> bool:
        try:
            return bool(self._admin.ping())
        except redis.ConnectionError:
            return False

    def __exit__(self, *_error: object) -> None:
        self._monitor.__exit__(*_error)
        self._admin.close()
        self._process.terminate()
        self._process.wait(timeout=10)
        Path(self.socket).parent.rmdir()

    def last_database(self) -> int:
        """Return the number of the database in which the last command ran."""
        self._admin.echo("that is all")
        last = -1
        while "that is all" not in (command := self._monitor.next_command())["command"]:
            last = int(command["db"])
        return last
