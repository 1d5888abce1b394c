"""Requests with a bad token: refused at least as fast as good ones are carried, and without the database."""

import contextlib
import dataclasses
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx

from bench.gateway import Gateway
from bench.goals import Findings
from bench.load import Run, Task, load, measure
from bench.processes import BenchFailed
from bench.servers import FILES
from bench.stage import Stage
from bench.throughput import GET

_TASK = Task("GET 1 KB, denied", GET.path, 0, status=401)
_DENIALS = 'zenzefi_proxy_denials_total{code="invalid_token"}'
_DIFFERENT = 10_000
# Less than a miss is remembered for, and than the data plane trusts its caches without the database.
_AWAY_SECONDS = 3


def measure_denied(stage: Stage) -> Findings:
    """One bad token again and again beside a good one; then as many different ones as misses are remembered."""
    gateway = stage.zenzefi
    admitted = Run(Task("GET 1 KB, beside denied", GET.path, FILES["1k"]), gateway, gateway.headers)
    same = Run(_TASK, gateway, _with_token(gateway, _bad_token()), label="Zenzefi, the same bad token")
    different = Run(_TASK, gateway, {}, label=f"Zenzefi, {_DIFFERENT:,} bad tokens")
    different.credentials = stage.directory / "bad-tokens"
    different.credentials.write_text("".join(f"{_bad_token()} bench-device\n" for _ in range(_DIFFERENT)))
    before = gateway.metric(_DENIALS)
    measure(stage, [admitted, same])
    # Each is looked up, so one round of theirs says enough.
    measure(dataclasses.replace(stage, rounds=1), [different])
    _check_denials(gateway.metric(_DENIALS) - before, same, different)
    return Findings(
        [run.figure for run in (admitted, same, different)],
        {"denied": same.to(admitted)},
        (_proof(stage),),
    )


def _bad_token() -> str:
    return secrets.token_urlsafe(48)


def _with_token(gateway: Gateway, token: str) -> dict[str, str]:
    return {**gateway.headers, "X-Access-Token": token}


def _check_denials(counted: float, *runs: Run) -> None:
    """All of them were refused as bad tokens: wrk sees only that the status was an error."""
    answers = sum(run.answers for run in runs)
    if not answers <= counted <= answers + sum(run.unanswered for run in runs):
        raise BenchFailed(f"Zenzefi counted {counted:,.0f} bad tokens; wrk had {answers:,} refusals.")


def _proof(stage: Stage) -> str:
    """Refuse while there is no database: after the first time a bad token needs none."""
    gateway = stage.zenzefi
    run = Run(_TASK, gateway, _with_token(gateway, _bad_token()))
    _expect(gateway, run.headers, 401)
    before = gateway.metric(_DENIALS)
    with _without(Path(gateway.settings["DATA_DIR"])):
        # A token that is not known is looked up, which shows that the database is out of reach.
        _expect(gateway, _with_token(gateway, _bad_token()), 503)
        load(stage, run, _AWAY_SECONDS)
    refused = gateway.metric(_DENIALS) - before
    if refused < run.answers:
        raise BenchFailed(f"Only {refused:,.0f} of {run.answers:,} refusals without a database were for a bad token.")
    return f"A bad token was refused {run.answers:,} times while there was no database."


@contextlib.contextmanager
def _without(directory: Path) -> Iterator[None]:
    away = directory.with_suffix(".away")
    directory.rename(away)
    try:
        yield
    finally:
        away.rename(directory)


def _expect(gateway: Gateway, headers: dict[str, str], status: int) -> None:
    answer = httpx.get(gateway.url + GET.path, headers=headers, trust_env=False)
    if answer.status_code != status:
        raise BenchFailed(f"{gateway.name} answered {answer.status_code} instead of {status}: {answer.text[:500]}")
