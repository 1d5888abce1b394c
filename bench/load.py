"""Load with wrk: one request repeated over so many connections, and proof that the answers were the wanted ones."""

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
    """A request and the answer that it must get each time."""

    name: str
    path: str
    answer_bytes: int
    method: str = "GET"
    body_bytes: int = 0
    status: int = 200


@dataclass(frozen=True)
class Round:
    """What wrk measured; times in milliseconds."""

    per_second: float
    p50: float
    p99: float


@dataclass
class Run:
    """One server under one task, over all rounds."""

    task: Task
    server: Server
    headers: dict[str, str] = field(repr=False)
    # Lines of a token and a device id, which take turns instead of those in the headers.
    credentials: Path | None = None
    label: str = ""
    # Seconds after a load in which the gateway still works off what was asked of it.
    rest: float = 0
    # What of it was counted; a gateway's own session, where nothing else is said.
    count: Callable[[], int] | None = None
    connections: int = CONNECTIONS
    rounds: list[Round] = field(default_factory=list)
    # The answers to the warm-up and the probe, too; each load ends with up to `connections` unanswered.
    answers: int = 0
    unanswered: int = 0

    @property
    def name(self) -> str:
        return self.label or self.server.name

    @property
    def per_second(self) -> float:
        return statistics.median(each.per_second for each in self.rounds)

    @property
    def figure(self) -> Figure:
        """The median of each figure."""
        p50, p99 = (statistics.median(getattr(each, name) for each in self.rounds) for name in ("p50", "p99"))
        return Figure(self.task.name, self.name, self.per_second, "requests", p50, p99)

    def to(self, other: "Run") -> float:
        return self.per_second / other.per_second


def measure(stage: Stage, runs: list[Run]) -> None:
    """Warm each up, then let them take turns, so that a slow moment of the machine meets all of them.

    Raises `BenchFailed` where an answer is not the wanted one, or a gateway counts other than wrk.
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
    """Who counts what a gateway carries of it; a denied request belongs to no session."""
    counted = isinstance(run.server, Gateway) and run.task.status == 200
    return run.count or (run.server.request_count if counted else None)


def _check_count(run: Run, counted: int) -> None:
    """Raises `BenchFailed` where what was counted is not what wrk sent."""
    sent_at_most = run.answers + run.unanswered
    figures = (
        f"{run.name} counted {counted:,} requests; wrk had {run.answers:,} answers, sent at most {sent_at_most:,}."
    )
    print(figures, file=sys.stderr)
    if not run.answers * (1 - _MISCOUNT) <= counted <= sent_at_most * (1 + _MISCOUNT):
        raise BenchFailed(f"{figures} That is more than 1 % apart.")


def _probe(run: Run) -> None:
    """Ask once and look at the whole answer."""
    task = run.task
    content = b"x" * task.body_bytes if task.body_bytes else None
    answer = httpx.request(
        task.method, run.server.url + task.path, headers=run.headers, content=content, trust_env=False
    )
    run.answers += 1
    expected = task.status == 200 and len(answer.content) != task.answer_bytes
    if answer.status_code != task.status or expected:
        raise BenchFailed(
            f"{run.name} answered {task.method} {task.path} with {answer.status_code} and "
            f"{len(answer.content)} bytes instead of {task.status} and {task.answer_bytes} bytes."
        )


def load(stage: Stage, run: Run, seconds: int) -> Round:
    """One go of wrk. Raises `BenchFailed` where an answer is not the wanted one."""
    task, report = run.task, stage.directory / "wrk.json"
    report.unlink(missing_ok=True)
    command = [executable("wrk"), "-t", "1", "-c", str(run.connections), "-d", f"{seconds}s", "--timeout", "10s"]
    for name, value in run.headers.items():
        command += ["-H", f"{name}: {value}"]
    command += ["-s", str(ROOT / "bench" / "wrk.lua"), run.server.url + task.path]
    wanted = {
        "BENCH_METHOD": task.method,
        "BENCH_BODY_BYTES": str(task.body_bytes),
        "BENCH_CREDENTIALS": str(run.credentials or ""),
        # Where it was the last time, so that each has its turn.
        "BENCH_CREDENTIALS_USED": str(run.answers),
        "BENCH_REPORT": str(report),
    }
    done = subprocess.run(command, env={**os.environ, **wanted}, capture_output=True, text=True, check=False)
    if done.returncode or not report.exists():
        raise BenchFailed(f"wrk failed against {run.name}: {done.stderr.strip() or done.stdout.strip()}")
    measured = json.loads(report.read_text())
    _check_answers(run, measured)
    run.answers += measured["requests"]
    run.unanswered += run.connections
    return Round(
        per_second=measured["requests"] / measured["microseconds"] * 1e6,
        p50=measured["p50"] / 1000,
        p99=measured["p99"] / 1000,
    )


def _check_answers(run: Run, measured: dict[str, int]) -> None:
    """Every answer was the wanted one: a refused or broken request is fast, and worth nothing."""
    requests, refused, broken = measured["requests"], measured["refused"], measured["broken"]
    expected = 0 if run.task.status == 200 else requests
    complete = measured["bytes"] >= requests * run.task.answer_bytes
    if not requests or refused != expected or broken or not complete:
        raise BenchFailed(
            f"{run.name}, {run.task.name}: of {requests} answers {refused} had an error status instead of "
            f"{expected}, {broken} connections broke, and the bodies were {'' if complete else 'not '}complete."
        )
