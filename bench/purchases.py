"""`python -m bench.purchases`: purchases per second on PostgreSQL, compared with pgbench's simple transactions.

Both run in turns with 16 clients on the server of `DATABASE_URL`, in a temporary database. A purchase is the whole
service: key, tariff, debit, entries, encrypted token. pgbench's `-N` is an UPDATE, a SELECT and an INSERT.
"""

import argparse
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from bench.buyers import CUSTOMERS
from bench.processes import ROOT, BenchFailed, environment

_SERVER = "postgres://postgres@127.0.0.1:5432/postgres"
_PROCESSES = 4
_SCALE = 10  # of pgbench: a million accounts


@dataclass(frozen=True)
class Measured:
    """The medians of the rounds, per second."""

    purchases: float
    simple: float

    def table(self) -> str:
        rows = [("pgbench -N, simple transactions", self.simple), ("Zenzefi, purchases", self.purchases)]
        lines = [f"| {title} | {figure:,.0f} | {figure / self.simple:.2f} |" for title, figure in rows]
        head = f"| {CUSTOMERS} clients on PostgreSQL | per second | to pgbench |"
        return "\n".join([head, "| --- | --: | --: |", *lines])


def measure(python: Path, server: str = _SERVER, *, rounds: int = 3, seconds: int = 5) -> Measured:
    """Measure on a PostgreSQL server. Raises `BenchFailed` if it is not reachable or pgbench is missing."""
    purchases, simple = [], []
    with _database(server) as url, tempfile.TemporaryDirectory(prefix="zenzefi-bench-") as data:
        _pgbench("-i", "-q", "-s", str(_SCALE), url)
        settings = environment(
            DATABASE_URL=url, DATA_DIR=data, ENV_FILE=os.devnull, DJANGO_SETTINGS_MODULE="zenzefi.settings"
        )
        _run([str(python), "-m", "bench.buyers", "open"], env=settings)
        for _round in range(rounds):
            simple.append(_transactions(url, seconds))
            purchases.append(_purchases(python, settings, seconds))
    return Measured(statistics.median(purchases), statistics.median(simple))


@contextlib.contextmanager
def _database(server: str) -> Iterator[str]:
    name = f"zenzefi_bench_{os.getpid()}"
    _run(["psql", "-qc", f"CREATE DATABASE {name}", server])
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        _run(["psql", "-qc", f"DROP DATABASE {name} WITH (FORCE)", server])


def _transactions(url: str, seconds: int) -> float:
    output = _pgbench("-N", "-n", "-c", str(CUSTOMERS), "-j", "2", "-T", str(seconds), url)
    found = re.search(r"^tps = ([\d.]+)", output, re.MULTILINE)
    if not found:
        raise BenchFailed(f"pgbench printed no figure. Its output:\n{output}")
    return float(found[1])


def _purchases(python: Path, settings: dict[str, str], seconds: int) -> float:
    each = CUSTOMERS // _PROCESSES
    buyers = [
        subprocess.Popen(
            [str(python), "-m", "bench.buyers", "buy", str(first), str(each), str(seconds)],
            cwd=ROOT,
            env=settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in range(0, CUSTOMERS, each)
    ]
    try:
        for buyer in buyers:
            if buyer.stdout.readline() != "ready\n":
                raise BenchFailed("The customers could not start to buy. See the errors above.")
        for buyer in buyers:
            buyer.stdin.write("go\n")
            buyer.stdin.flush()
        return sum(float(buyer.communicate(timeout=seconds + 30)[0]) for buyer in buyers)
    finally:
        for buyer in buyers:
            buyer.kill()
            buyer.communicate()


def _pgbench(*arguments: str) -> str:
    """Run pgbench and return its output. On Debian it is not on the PATH."""
    places = [os.environ.get("PATH", os.defpath), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    path = shutil.which("pgbench", path=os.pathsep.join(places))
    if path is None:
        raise BenchFailed("pgbench is missing. Install it: `apt-get install postgresql`.")
    return _run([path, *arguments])


def _run(command: list[str], **options: dict[str, str]) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)
    except FileNotFoundError as error:
        raise BenchFailed(f"{command[0]} is missing. Install it: `apt-get install postgresql-client`.") from error
    if done.returncode:
        raise BenchFailed(f"{command[0]} failed. Its output:\n{done.stderr.strip()}")
    return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.purchases", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="length of a round (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--gateway-python", type=Path, default=ROOT / ".venv" / "bin" / "python")
    options = parser.parse_args()
    server = os.environ.get("DATABASE_URL") or _SERVER
    try:
        found = measure(options.gateway_python.absolute(), server, rounds=options.rounds, seconds=options.seconds)
    except BenchFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    print(found.table())
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, median of {options.rounds} interleaved rounds of {options.seconds} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
