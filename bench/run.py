"""`make bench`: all speed targets, measured in one run on one machine.

The exit status is 1 if a goal is missed or the figures cannot be trusted. Nothing is written to the repository.
"""

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import customers, denied, download, events, report, sockets, throughput, tokens
from bench.goals import GOALS, Findings
from bench.processes import ROOT, BenchFailed, executable
from bench.stage import Stage

_NEEDED_BYTES = 2 * 2**30

_PARTS: dict[str, Callable[[Stage], Findings]] = {
    "get": throughput.get,
    "workers": throughput.workers,
    "bodies": throughput.bodies,
    "download": download.measure,
    "websockets": sockets.measure,
    "events": events.measure,
    "tokens": tokens.measure_tokens,
    "denied": denied.measure_denied,
    "users": customers.measure,
}


def main() -> int:
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, _frame: sys.exit(128 + signum))
    try:
        for program in ("nginx", "wrk", "redis-server"):
            executable(program)
        findings = _measure(options)
    except BenchFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return _conclude(options, findings)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure Zenzefi against nginx and fastapi-proxy-lib.")
    parser.add_argument("--only", action="append", choices=_PARTS, help="measure this part; may be repeated")
    parser.add_argument("--seconds", type=_count, default=3, help="length of a round (default: 3)")
    parser.add_argument("--rounds", type=_count, default=3, help="rounds for each server (default: 3)")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument(
        "--gateway-python",
        type=Path,
        default=ROOT / ".venv" / "bin" / "python",
        help="the Python that has Zenzefi's requirements",
    )
    return parser.parse_args()


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 60:
        raise argparse.ArgumentTypeError(f"{number} is not from 1 to 60")
    return number


def _measure(options: argparse.Namespace) -> Findings:
    everything = Findings([], {})
    in_memory = tempfile.TemporaryDirectory(prefix="zenzefi-bench-", dir=_memory())
    with in_memory as name, contextlib.ExitStack() as servers:
        # Not resolved, because the Python of a virtual environment is a symbolic link.
        python = options.gateway_python.absolute()
        stage = Stage(Path(name), python, options.rounds, options.seconds, servers)
        for part in dict.fromkeys(options.only or _PARTS):
            since = time.monotonic()
            findings = _PARTS[part](stage)
            everything.figures += findings.figures
            everything.measured |= {key: findings.measured[key] for key in GOALS if GOALS[key].part == part}
            everything.notes += findings.notes
            print(f"{part}: {time.monotonic() - since:.0f} s", file=sys.stderr)
    return everything


def _memory() -> str | None:
    """Return a directory in memory, so that the disk does not affect the figures; None if there is none."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free >= _NEEDED_BYTES else None


def _conclude(options: argparse.Namespace, findings: Findings) -> int:
    print(report.figures(findings.figures, markdown=options.markdown), end="\n\n")
    print(report.goals(findings.measured, markdown=options.markdown), end="\n\n")
    for note in findings.notes:
        print(note)
    print(report.circumstances(options.gateway_python, rounds=options.rounds, seconds=options.seconds))
    missed = [key for key, measured in findings.measured.items() if not GOALS[key].is_met(measured)]
    for key in missed:
        goal = GOALS[key]
        print(
            f"Missed: {goal.title}: {goal.format(findings.measured[key])}, not {goal.formatted_bound}.",
            file=sys.stderr,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
