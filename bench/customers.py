"""The load target: a hundred customers who use proxy and API, on two workers with Redis."""

import json
import subprocess
import sys
import time
from typing import Any

from bench.gateway import Gateway, run_seed, zenzefi
from bench.goals import Figure, Findings
from bench.processes import ROOT, BenchFailed, environment
from bench.stage import Stage

_TITLE = "100 users"
_USERS, _SECONDS = 100, 20
_LONGEST_SECONDS = 180
# All customers share one address, so the limits per address are raised. The limit per user is the default.
_LIMITS = {"RATE_LIMIT_AUTH": "1000/hour", "RATE_LIMIT_API": "1000/minute", "RATE_LIMIT_PROXY": "6000/minute"}
_FLUSH_SECONDS = 7


def measure(stage: Stage) -> Findings:
    """Measure all customers together after they have signed up and bought; check the requests in the database."""
    # A separate Redis database, because the other gateway with two workers has other limits.
    settings = {"WORKERS": "2", "REDIS_URL": stage.redis.removesuffix("0") + "1", **_LIMITS}
    with zenzefi(stage.directory / "zenzefi-users", stage.python, stage.direct, **settings) as gateway:
        measured = _run(stage, gateway)
        time.sleep(_FLUSH_SECONDS)
        _check_count(int(run_seed(stage.python, gateway, "count")), measured)
    errors = 100 * measured["failures"] / measured["requests"]
    note = f"{_TITLE}: {measured['requests']:,} requests, of which {measured['failures']:,} failed."
    figure = Figure(_TITLE, gateway.name, measured["per_second"], "requests", measured["p50"], measured["p99"])
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
    print(f"{_TITLE}: sign-up, then {_SECONDS} s of load", file=sys.stderr)
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
            raise _failed(f"did not finish within {_LONGEST_SECONDS} s", log.read_text()) from None
    if not report.exists():
        raise _failed("did not start to be measured", log.read_text())
    measured: dict[str, Any] = json.loads(report.read_text())
    return measured


def _failed(reason: str, output: str) -> BenchFailed:
    return BenchFailed(f"The {_TITLE} {reason}. Output of locust:\n{output[-3000:].strip()}")


def _check_count(counted: int, measured: dict[str, Any]) -> None:
    print(f"{_TITLE}: {measured['proxied']:,} proxied, {counted:,} in the database", file=sys.stderr)
    if not measured["proxied"] - measured["failures"] <= counted <= measured["proxied"]:
        raise BenchFailed(
            f"The sessions have {counted:,} requests instead of the {measured['proxied']:,} that were proxied."
        )
