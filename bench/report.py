"""The figures as a table, for a terminal or as Markdown, with what is needed to read them later."""

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.load import CONNECTIONS, Run
from bench.processes import executable

_COMPARED_WITH = ["fastapi-proxy-lib", "nginx as proxy"]
_HEAD = ["Request", "Server", "Requests/s", *(f"to {name}" for name in _COMPARED_WITH), "p50 ms", "p99 ms"]
_TEXT_COLUMNS = 2


def ratio(run: Run, other: Run) -> float:
    return run.median.per_second / other.median.per_second


def rows(runs: list[Run]) -> list[list[str]]:
    """One row a run; its ratios are to the servers that did the same task."""
    return [_row(run, {other.server.name: other for other in runs if other.task == run.task}) for run in runs]


def _row(run: Run, peers: dict[str, Run]) -> list[str]:
    ratios = [f"{ratio(run, peers[name]):.2f}" if name in peers else "" for name in _COMPARED_WITH]
    median = run.median
    return [
        run.task.name,
        run.server.name,
        f"{median.per_second:,.0f}",
        *ratios,
        f"{median.p50:.2f}",
        f"{median.p99:.2f}",
    ]


def plain(runs: list[Run]) -> str:
    lines = [_HEAD, *rows(runs)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < _TEXT_COLUMNS else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(runs: list[Run]) -> str:
    rule = ["---" if index < _TEXT_COLUMNS else "--:" for index in range(len(_HEAD))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [_HEAD, rule, *rows(runs)])


def circumstances(gateway_python: Path, *, rounds: int, seconds: int) -> str:
    """When, on what and with what it was measured."""
    ours = _gateway_versions(gateway_python)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {_processor()}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.machine()}, loopback; wrk {_wrk_version()} with 1 thread and {CONNECTIONS} connections, "
        f"the median of {rounds} interleaved rounds of {seconds} s; nginx {_nginx_version()}, one worker; "
        f"Zenzefi on {ours}, one worker; fastapi-proxy-lib {version('fastapi-proxy-lib')} on Python "
        f"{platform.python_version()}, uvicorn {version('uvicorn')}, httpx {version('httpx')}, one worker."
    )


def _gateway_versions(python: Path) -> str:
    code = (
        "import json, platform; from importlib.metadata import version as v; "
        "print(json.dumps([platform.python_version(), v('django'), v('uvicorn'), v('aiohttp')]))"
    )
    said = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout
    return "Python {}, Django {}, uvicorn {}, aiohttp {}".format(*json.loads(said))


def _nginx_version() -> str:
    said = subprocess.run([executable("nginx"), "-v"], capture_output=True, text=True, check=False)
    return _number(said.stderr, r"nginx/(\S+)")


def _wrk_version() -> str:
    said = subprocess.run([executable("wrk"), "-v"], capture_output=True, text=True, check=False)
    return _number(said.stdout, r"wrk \D*(\S+)")


def _number(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else "?"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or "unknown processor"
