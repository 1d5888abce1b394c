"""Load with wrk: one request repeated over 32 connections, and proof that the answers were the wanted ones."""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.processes import ROOT, BenchFailed, executable
from bench.servers import Server

CONNECTIONS = 32
_WARM_UP_SECONDS = 2


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
    rounds: list[Round] = field(default_factory=list)
    # The answers to the warm-up and the probe, too; each load ends with up to `CONNECTIONS` unanswered.
    answers: int = 0
    unanswered: int = 0

    @property
    def median(self) -> Round:
        """The median of each figure."""
        return Round(
            per_second=statistics.median(each.per_second for each in self.rounds),
            p50=statistics.median(each.p50 for each in self.rounds),
            p99=statistics.median(each.p99 for each in self.rounds),
        )


def measure(runs: list[Run], directory: Path, *, rounds: int, seconds: int) -> None:
    """Warm each up, then let them take turns, so that a slow moment of the machine meets all of them."""
    for run in runs:
        _probe(run)
        _load(run, directory, _WARM_UP_SECONDS)
    for number in range(rounds):
        for run in runs:
            run.rounds.append(_load(run, directory, seconds))
            rate = f"{run.rounds[-1].per_second:,.0f}/s"
            print(f"{run.task.name}, round {number + 1}: {run.server.name} {rate}", file=sys.stderr)


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
            f"{run.server.name} answered {task.method} {task.path} with {answer.status_code} and "
            f"{len(answer.content)} bytes instead of {task.status} and {task.answer_bytes} bytes."
        )


def _load(run: Run, directory: Path, seconds: int) -> Round:
    task, report = run.task, directory / "wrk.json"
    report.unlink(missing_ok=True)
    command = [executable("wrk"), "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", "--timeout", "10s"]
    for name, value in run.headers.items():
        command += ["-H", f"{name}: {value}"]
    command += ["-s", str(ROOT / "bench" / "wrk.lua"), run.server.url + task.path]
    wanted = {"BENCH_METHOD": task.method, "BENCH_BODY_BYTES": str(task.body_bytes), "BENCH_REPORT": str(report)}
    done = subprocess.run(command, env={**os.environ, **wanted}, capture_output=True, text=True, check=False)
    if done.returncode or not report.exists():
        raise BenchFailed(f"wrk failed against {run.server.name}: {done.stderr.strip() or done.stdout.strip()}")
    measured = json.loads(report.read_text())
    _check_answers(run, measured)
    run.answers += measured["requests"]
    run.unanswered += CONNECTIONS
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
            f"{run.server.name}, {run.task.name}: of {requests} answers {refused} had an error status instead of "
            f"{expected}, {broken} connections broke, and the bodies were {'' if complete else 'not '}complete."
        )
