"""Requests with a bad token, which must be denied at least as fast as others are proxied, without the database."""

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
# Shorter than a miss is cached, and than the data plane trusts its caches without the database.
_AWAY_SECONDS = 3


def measure_denied(stage: Stage) -> Findings:
    """Measure one repeated bad token against a good one, then as many different bad tokens as misses are cached."""
    gateway = stage.zenzefi
    admitted = Run(Task("GET 1 KB, admitted", GET.path, FILES["1k"]), gateway, gateway.headers)
    same = Run(_TASK, gateway, _with_token(gateway, _bad_token()), label="Zenzefi, the same bad token")
    different = Run(_TASK, gateway, {}, label=f"Zenzefi, {_DIFFERENT:,} bad tokens")
    different.credentials = stage.directory / "bad-tokens"
    different.credentials.write_text("".join(f"{_bad_token()} bench-device\n" for _ in range(_DIFFERENT)))
    before = gateway.metric(_DENIALS)
    measure(stage, [admitted, same])
    # Each of them is looked up, so one round is enough.
    measure(dataclasses.replace(stage, rounds=1), [different])
    _check_denials(gateway.metric(_DENIALS) - before, same, different)
    return Findings(
        [run.figure for run in (admitted, same, different)],
        {"denied": same.ratio_to(admitted)},
        (_measure_without_database(stage),),
    )


def _bad_token() -> str:
    return secrets.token_urlsafe(48)


def _with_token(gateway: Gateway, token: str) -> dict[str, str]:
    return {**gateway.headers, "X-Access-Token": token}


def _check_denials(counted: float, *runs: Run) -> None:
    """Check that all were denied as bad tokens, because wrk sees only an error status."""
    responses = sum(run.responses for run in runs)
    if not responses <= counted <= responses + sum(run.unfinished for run in runs):
        raise BenchFailed(f"Zenzefi counted {counted:,.0f} bad tokens; wrk had {responses:,} denials.")


def _measure_without_database(stage: Stage) -> str:
    """Check that a bad token is denied from the cache while the database is away. Return a note for the report."""
    gateway = stage.zenzefi
    run = Run(_TASK, gateway, _with_token(gateway, _bad_token()))
    _expect(gateway, run.headers, 401)
    before = gateway.metric(_DENIALS)
    with _without(Path(gateway.settings["DATA_DIR"])):
        # A token that is not cached is looked up, which shows that the database is away.
        _expect(gateway, _with_token(gateway, _bad_token()), 503)
        load(stage, run, _AWAY_SECONDS)
    denied = gateway.metric(_DENIALS) - before
    if denied < run.responses:
        raise BenchFailed(f"Only {denied:,.0f} of {run.responses:,} denials without a database were for a bad token.")
    return f"A bad token was denied {run.responses:,} times without a database."


@contextlib.contextmanager
def _without(directory: Path) -> Iterator[None]:
    away = directory.with_suffix(".away")
    directory.rename(away)
    try:
        yield
    finally:
        away.rename(directory)


def _expect(gateway: Gateway, headers: dict[str, str], status: int) -> None:
    response = httpx.get(gateway.url + GET.path, headers=headers, trust_env=False)
    if response.status_code != status:
        raise BenchFailed(
            f"{gateway.name} returned {response.status_code} instead of {status}: {response.text[:500]}"
        )
