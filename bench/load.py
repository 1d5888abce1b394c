"""Load by wrk: one request repeated over several connections, with checks of the responses."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.gateway import Gateway
from bench.goals import Figure
from bench.processes import ROOT, BenchFailed, executable
from bench.servers import Server
from bench.stage import Stage

CONNECTIONS = 32
_WARM_UP_SECONDS = 1
_MISCOUNT = 0.01


@dataclass(frozen=True)
class Task:
    """A request and its expected response."""

    name: str
    path: str
    response_bytes: int
    method: str = "GET"
    body_bytes: int = 0
    status: int = 200


@dataclass(frozen=True)
class Round:
    """The figures of one load; times in milliseconds."""

    per_second: float
    p50: float
    p99: float


@dataclass
class Run:
    """One server under one task, in all rounds."""

    task: Task
    server: Server
    headers: dict[str, str] = field(repr=False)
    # A file of lines with a token and a device id. They are used in turns instead of those in the headers.
    credentials: Path | None = None
    label: str = ""
    # Seconds after a load in which the gateway finishes its work.
    rest: float = 0
    # Returns the number of requests the gateway counted; by default that of its session.
    count: Callable[[], int] | None = None
    connections: int = CONNECTIONS
    rounds: list[Round] = field(default_factory=list)
    # Including warm-up and probe. At the end of a load up to `connections` requests have no response yet.
    responses: int = 0
    unfinished: int = 0

    @property
    def name(self) -> str:
        return self.label or self.server.name

    @property
    def per_second(self) -> float:
        return statistics.median(each.per_second for each in self.rounds)

    @property
    def figure(self) -> Figure:
        """Return the medians of all rounds."""
        p50, p99 = (statistics.median(getattr(each, name) for each in self.rounds) for name in ("p50", "p99"))
        return Figure(self.task.name, self.name, self.per_second, "requests", p50, p99)

    def ratio_to(self, other: "Run") -> float:
        return self.per_second / other.per_second


def measure(stage: Stage, runs: list[Run]) -> None:
    """Warm up each run, then measure them in turns, so that a slow moment of the machine affects all of them.

    Raises `BenchFailed` if a response is not the expected one, or if a gateway counts differently from wrk.
    """
    counters = [(run, count, count()) for run in runs if (count := _counter(run))]
    for run in runs:
        if run.credentials is None:
            _probe(run)
        load(stage, run, _WARM_UP_SECONDS)
        time.sleep(run.rest)
    for number in range(stage.rounds):
        for run in runs:
            run.rounds.append(load(stage, run, stage.seconds))
            time.sleep(run.rest)
            rate = f"{run.rounds[-1].per_second:,.0f}/s"
            print(f"{run.task.name}, round {number + 1}: {run.name} {rate}", file=sys.stderr)
    for run, count, before in counters:
        _check_count(run, count() - before)


def _counter(run: Run) -> Callable[[], int] | None:
    """Return the function that counts the requests a gateway proxied. Denied requests belong to no session."""
    counted = isinstance(run.server, Gateway) and run.task.status == 200
    return run.count or (run.server.request_count if counted else None)


def _check_count(run: Run, counted: int) -> None:
    """Raise `BenchFailed` if the counted requests are not those that wrk sent."""
    sent_at_most = run.responses + run.unfinished
    figures = (
        f"{run.name} counted {counted:,} requests; wrk got {run.responses:,} responses to at most {sent_at_most:,}."
    )
    print(figures, file=sys.stderr)
    if not run.responses * (1 - _MISCOUNT) <= counted <= sent_at_most * (1 + _MISCOUNT):
        raise BenchFailed(f"{figures} That is more than 1 % apart.")


def _probe(run: Run) -> None:
    """Send one request and check the whole response."""
    task = run.task
    content = b"x" * task.body_bytes if task.body_bytes else None
    response = httpx.request(
        task.method, run.server.url + task.path, headers=run.headers, content=content, trust_env=False
    )
    run.responses += 1
    incomplete = task.status == 200 and len(response.content) != task.response_bytes
    if response.status_code != task.status or incomplete:
        raise BenchFailed(
            f"{run.name} returned to {task.method} {task.path} {response.status_code} and "
            f"{len(response.content)} bytes instead of {task.status} and {task.response_bytes} bytes."
        )


def load(stage: Stage, run: Run, seconds: int) -> Round:
    """Run wrk once. Raises `BenchFailed` if a response is not the expected one."""
    task, report = run.task, stage.directory / "wrk.json"
    report.unlink(missing_ok=True)
    command = [executable("wrk"), "-t", "1", "-c", str(run.connections), "-d", f"{seconds}s", "--timeout", "10s"]
    for name, value in run.headers.items():
        command += ["-H", f"{name}: {value}"]
    command += ["-s", str(ROOT / "bench" / "wrk.lua"), run.server.url + task.path]
    settings = {
        "BENCH_METHOD": task.method,
        "BENCH_BODY_BYTES": str(task.body_bytes),
        "BENCH_CREDENTIALS": str(run.credentials or ""),
        # Continue after the last token used, so that all tokens are used.
        "BENCH_CREDENTIALS_USED": str(run.responses),
        "BENCH_REPORT": str(report),
    }
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    if done.returncode or not report.exists():
        raise BenchFailed(f"wrk failed against {run.name}: {done.stderr.strip() or done.stdout.strip()}")
    measured = json.loads(report.read_text())
    _check_responses(run, measured)
    run.responses += measured["requests"]
    run.unfinished += run.connections
    return Round(
        per_second=measured["requests"] / measured["microseconds"] * 1e6,
        p50=measured["p50"] / 1000,
        p99=measured["p99"] / 1000,
    )


def _check_responses(run: Run, measured: dict[str, int]) -> None:
    """Raise `BenchFailed` unless all responses were the expected ones; errors would be fast but worthless."""
    requests, errors, broken = measured["requests"], measured["errors"], measured["broken"]
    expected = 0 if run.task.status == 200 else requests
    complete = measured["bytes"] >= requests * run.task.response_bytes
    if not requests or errors != expected or broken or not complete:
        raise BenchFailed(
            f"{run.name}, {run.task.name}: of {requests} responses {errors} had an error status instead of "
            f"{expected}, {broken} connections broke, and the bodies were {'' if complete else 'not '}complete."
        )
