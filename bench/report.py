"""Tables of the figures and goals, for a terminal or as Markdown, and a description of the circumstances."""

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.goals import GOALS, Figure
from bench.load import CONNECTIONS
from bench.processes import executable

_COMPARED_WITH = ["fastapi-proxy-lib", "nginx as proxy"]
_FIGURES = ["What", "Server", "Per second", *(f"to {name}" for name in _COMPARED_WITH), "p50 ms", "p99 ms"]
_GOALS = ["Goal", "", "Measured", "At least", "Aim"]
_TEXT_COLUMNS = 2


def figures(measured: list[Figure], *, markdown: bool) -> str:
    """Return a table with a row for each figure and its ratios to the other servers of the measurement."""
    return _table([_FIGURES, *(_figure(each, measured) for each in measured)], markdown=markdown)


def _figure(figure: Figure, measured: list[Figure]) -> list[str]:
    peers = {peer.server: peer for peer in measured if peer.title == figure.title}
    ratios = [f"{figure.rate / peers[name].rate:.2f}" if name in peers else "" for name in _COMPARED_WITH]
    rate = "" if figure.rate is None else f"{figure.rate:,.0f} {figure.unit}"
    times = ["" if time is None else f"{time:.2f}" for time in (figure.p50, figure.p99)]
    return [figure.title, figure.server, rate, *ratios, *times]


def goals(measured: dict[str, float], *, markdown: bool) -> str:
    """Return a table with a row for each measured goal."""
    rows = [
        [
            goal.title,
            "met" if goal.is_met(figure) else "MISSED",
            goal.format(figure),
            goal.formatted_bound,
            goal.format(goal.aim),
        ]
        for goal, figure in ((GOALS[key], figure) for key, figure in measured.items())
    ]
    return _table([_GOALS, *rows], markdown=markdown)


def _table(lines: list[list[str]], *, markdown: bool) -> str:
    if markdown:
        rule = ["---" if index < _TEXT_COLUMNS else "--:" for index in range(len(lines[0]))]
        return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < _TEXT_COLUMNS else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def circumstances(gateway_python: Path, *, rounds: int, seconds: int) -> str:
    """Return a sentence with the date, the machine and the versions of the measurement."""
    ours = _gateway_versions(gateway_python)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {_processor()}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.machine()}, loopback; wrk {_wrk_version()} with 1 thread and {CONNECTIONS} connections, "
        f"the median of {rounds} interleaved rounds of {seconds} s; nginx {_nginx_version()}, one worker; "
        f"Zenzefi on {ours}, one worker unless noted; fastapi-proxy-lib {version('fastapi-proxy-lib')} "
        f"on Python {platform.python_version()}, uvicorn {version('uvicorn')}, httpx {version('httpx')}, one worker; "
        f"WebSockets with picows {version('picows')} at both ends."
    )


def _gateway_versions(python: Path) -> str:
    code = (
        "import json, platform; from importlib.metadata import version as v; "
        "print(json.dumps([platform.python_version(), v('django'), v('uvicorn'), v('websockets')]))"
    )
    output = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout
    return "Python {}, Django {}, uvicorn {}, websockets {}".format(*json.loads(output))


def _nginx_version() -> str:
    output = subprocess.run([executable("nginx"), "-v"], capture_output=True, text=True, check=False)
    return _number(output.stderr, r"nginx/(\S+)")


def _wrk_version() -> str:
    output = subprocess.run([executable("wrk"), "-v"], capture_output=True, text=True, check=False)
    return _number(output.stdout, r"wrk \D*(\S+)")


def _number(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else "?"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or "unknown processor"
