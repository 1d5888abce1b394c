"""Many tokens in use at once, of very many in the database, beside a single one."""

import sys
import time
from pathlib import Path

from bench.gateway import Gateway, seed, zenzefi
from bench.goals import Findings
from bench.load import Run, Task, load, measure
from bench.processes import BenchFailed
from bench.servers import FILES
from bench.stage import Stage
from bench.throughput import GET

_TASK = Task("GET 1 KB, by tokens", GET.path, FILES["1k"])
_ALL, _USED = 100_000, 10_000
# The default: many more than one user asks for here.
_RATE_LIMIT = "6000/minute"
# Both gateways may write now and then what they counted: a rest, so that this does not fall into the other's time.
_REST_SECONDS = 5
# What was counted is in the database after the longest interval of writing, and what that takes.
_WRITTEN_SECONDS = 12
_WARM_UP_SECONDS = 5
_LONGEST_WARM_UP_SECONDS = 90


def measure_tokens(stage: Stage) -> Findings:
    """The same script asks with one and with many, in turns; the sessions in the database have all the requests."""
    several, one = stage.directory / "tokens", stage.directory / "token"
    started = zenzefi(stage.directory / "zenzefi-tokens", stage.python, stage.direct, RATE_LIMIT_PROXY=_RATE_LIMIT)
    with started as gateway:
        _say(f"issuing {_ALL:,} tokens")
        seed(stage.python, gateway, "issue", str(several), str(_ALL), str(_USED))
        # A gateway of its own: no work for the many may fall into the time of the one.
        one.write_text("{X-Access-Token} {X-Device-ID}\n".format_map(stage.zenzefi.headers))
        single = Run(_TASK, stage.zenzefi, {}, one, "Zenzefi, one token")
        many = Run(_TASK, gateway, {}, several, f"Zenzefi, {_USED:,} of {_ALL:,} tokens", rest=_REST_SECONDS)
        many.count = lambda: _written(stage, gateway)
        _activate(stage, gateway, several)
        measure(stage, [single, many])
    return Findings([single.figure, many.figure], {"tokens": many.to(single)})


def _written(stage: Stage, gateway: Gateway) -> int:
    time.sleep(_WRITTEN_SECONDS)
    return int(seed(stage.python, gateway, "count"))


def _activate(stage: Stage, gateway: Gateway, credentials: Path) -> None:
    """Use each once, which is a look-up and a write for each, for as many as the database has threads."""
    run = Run(_TASK, gateway, {}, credentials, "the first use of each token", connections=4)
    since = time.monotonic()
    while (known := gateway.metric("zenzefi_proxy_cached_grants")) < _USED:
        if time.monotonic() - since > _LONGEST_WARM_UP_SECONDS:
            raise BenchFailed(f"Only {known:,.0f} of {_USED:,} tokens were used in {_LONGEST_WARM_UP_SECONDS} s.")
        load(stage, run, _WARM_UP_SECONDS)
        _say(f"first use of {_USED:,} tokens: {time.monotonic() - since:.0f} s, {run.answers:,} requests")


def _say(what: str) -> None:
    print(f"{_TASK.name}: {what}", file=sys.stderr)
