"""Many tokens in use, of many more in the database, compared with a single token."""

import sys
import time
from pathlib import Path

from bench.gateway import Gateway, run_seed, zenzefi
from bench.goals import Findings
from bench.load import Run, Task, load, measure
from bench.processes import BenchFailed
from bench.servers import FILES
from bench.stage import Stage
from bench.throughput import GET

_TASK = Task("GET 1 KB, by tokens", GET.path, FILES["1k"])
_ALL, _USED = 100_000, 10_000
# The default, far above the rate of one user here.
_RATE_LIMIT = "6000/minute"
# A gateway writes its counts during this pause, so that the writes do not disturb the measurement of the other.
_REST_SECONDS = 5
# The counts are in the database after the longest interval between writes, plus the time of the write.
_FLUSH_SECONDS = 12
_WARM_UP_SECONDS = 5
_LONGEST_WARM_UP_SECONDS = 90


def measure_tokens(stage: Stage) -> Findings:
    """Measure one token and many tokens in turns; check the number of requests in the database."""
    several, one = stage.directory / "tokens", stage.directory / "token"
    started = zenzefi(stage.directory / "zenzefi-tokens", stage.python, stage.direct, RATE_LIMIT_PROXY=_RATE_LIMIT)
    with started as gateway:
        _log(f"issuing {_ALL:,} tokens")
        run_seed(stage.python, gateway, "issue", str(several), str(_ALL), str(_USED))
        # A separate gateway, so that work for the many tokens does not slow down the single one.
        one.write_text("{X-Access-Token} {X-Device-ID}\n".format_map(stage.zenzefi.headers))
        single = Run(_TASK, stage.zenzefi, {}, one, "Zenzefi, one token")
        many = Run(_TASK, gateway, {}, several, f"Zenzefi, {_USED:,} of {_ALL:,} tokens", rest=_REST_SECONDS)
        many.count = lambda: _count_flushed(stage, gateway)
        _activate(stage, gateway, several)
        measure(stage, [single, many])
    return Findings([single.figure, many.figure], {"tokens": many.ratio_to(single)})


def _count_flushed(stage: Stage, gateway: Gateway) -> int:
    time.sleep(_FLUSH_SECONDS)
    return int(run_seed(stage.python, gateway, "count"))


def _activate(stage: Stage, gateway: Gateway, credentials: Path) -> None:
    """Use each token once. Each first use is a look-up and a write, four at a time, one per database thread."""
    run = Run(_TASK, gateway, {}, credentials, "the first use of each token", connections=4)
    since = time.monotonic()
    while (known := gateway.metric("zenzefi_proxy_cached_grants")) < _USED:
        if time.monotonic() - since > _LONGEST_WARM_UP_SECONDS:
            raise BenchFailed(f"Only {known:,.0f} of {_USED:,} tokens were used in {_LONGEST_WARM_UP_SECONDS} s.")
        load(stage, run, _WARM_UP_SECONDS)
        _log(f"first use of {_USED:,} tokens: {time.monotonic() - since:.0f} s, {run.responses:,} requests")


def _log(message: str) -> None:
    print(f"{_TASK.name}: {message}", file=sys.stderr)
