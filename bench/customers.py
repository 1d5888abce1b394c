"""The load target: a hundred customers with all that they do, on two workers with Redis."""

import json
import subprocess
import sys
import time
from typing import Any

from bench.gateway import Gateway, seed, zenzefi
from bench.goals import Figure, Findings
from bench.processes import ROOT, BenchFailed, environment
from bench.stage import Stage

_WHAT = "100 users"
_USERS, _SECONDS = 100, 20
_LONGEST_SECONDS = 180
# All come from one address: what one address may do has to be enough for a hundred. What a user may do stays.
_LIMITS = {"RATE_LIMIT_AUTH": "1000/hour", "RATE_LIMIT_API": "1000/minute", "RATE_LIMIT_PROXY": "6000/minute"}
_WRITTEN_SECONDS = 7


def measure(stage: Stage) -> Findings:
    """They sign up and buy, then all are measured together; the sessions in the database have all their requests."""
    # Another of its databases than that of the other gateway with two workers, whose limits are not these.
    settings = {"WORKERS": "2", "REDIS_URL": stage.redis.removesuffix("0") + "1", **_LIMITS}
    with zenzefi(stage.directory / "zenzefi-users", stage.python, stage.direct, **settings) as gateway:
        measured = _run(stage, gateway)
        time.sleep(_WRITTEN_SECONDS)
        _check_count(int(seed(stage.python, gateway, "count")), measured)
    errors = 100 * measured["failures"] / measured["requests"]
    note = f"{_WHAT}: {measured['requests']:,} requests, of which {measured['failures']:,} failed."
    figure = Figure(_WHAT, gateway.name, measured["per_second"], "requests", measured["p50"], measured["p99"])
    return Findings(
        [figure],
        {
            "users rate": measured["per_second"],
            "users p50": measured["p50"],
            "users p95": measured["p95"],
            "users errors": errors,
        },
        (note, *measured["errors"]),
    )


def _run(stage: Stage, gateway: Gateway) -> dict[str, Any]:
    print(f"{_WHAT}: they sign up, then {_SECONDS} s of all they do", file=sys.stderr)
    report, log = stage.directory / "locust.json", stage.directory / "locust.log"
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "bench" / "locustfile.py"), "--headless"]
    command += ["--host", gateway.origin, "--users", str(_USERS), "--spawn-rate", str(_USERS), "--stop-timeout", "10"]
    command += ["--only-summary", "--exit-code-on-error", "0"]
    env = environment(BENCH_SECONDS=str(_SECONDS), BENCH_REPORT=str(report))
    with log.open("wb") as output:
        try:
            subprocess.run(
                command, cwd=ROOT, env=env, stdout=output, stderr=output, timeout=_LONGEST_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise _failed(f"were not done after {_LONGEST_SECONDS} s", log.read_text()) from None
    if not report.exists():
        raise _failed("did not come to be measured", log.read_text())
    measured: dict[str, Any] = json.loads(report.read_text())
    return measured


def _failed(how: str, said: str) -> BenchFailed:
    return BenchFailed(f"The {_WHAT} {how}; locust said:\n{said[-3000:].strip()}")


def _check_count(counted: int, measured: dict[str, Any]) -> None:
    print(f"{_WHAT}: {measured['carried']:,} carried, {counted:,} in the database", file=sys.stderr)
    if not measured["carried"] - measured["failures"] <= counted <= measured["carried"]:
        raise BenchFailed(
            f"The sessions have {counted:,} requests, not the {measured['carried']:,} that were carried."
        )
