"""`make bench`: Zenzefi beside nginx and fastapi-proxy-lib, in one run on one machine.

Exit status 1: the goal was missed, or the figures could not be trusted. Nothing is written into the repository.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from bench import report
from bench.load import Run, Task, measure
from bench.processes import ROOT, BenchFailed, executable
from bench.servers import FILES, Contenders, contenders

GOAL = 10
_MISCOUNT = 0.01
_BAD_TOKEN = "A" * 48

_GET = Task("GET 1 KB", "/1k", FILES["1k"])
_DENIED = Task("GET, bad token", "/1k", 0, status=401)
_POST = Task("POST 10 KB", "/upload", 2, method="POST", body_bytes=10 * 1024)
_GET_LARGE = Task("GET 100 KB", "/100k", FILES["100k"])


def main() -> int:
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, _frame: sys.exit(128 + signum))
    try:
        executable("nginx")
        executable("wrk")
        runs = _measured(options)
    except BenchFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return _conclude(options, runs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure Zenzefi beside nginx and fastapi-proxy-lib.")
    parser.add_argument("--seconds", type=_count, default=5, help="length of a round (default: 5)")
    parser.add_argument("--rounds", type=_count, default=3, help="rounds for each server (default: 3)")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
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


def _measured(options: argparse.Namespace) -> list[Run]:
    with tempfile.TemporaryDirectory(prefix="zenzefi-bench-") as name:
        directory = Path(name)
        # Not resolved: a virtual environment's Python is a link.
        with contenders(directory, options.gateway_python.absolute()) as started:
            groups = _groups(started)
            for group in groups:
                measure(group, directory, rounds=options.rounds, seconds=options.seconds)
            runs = [run for group in groups for run in group]
            _check_count(runs, started.zenzefi.request_count())
    return runs


def _groups(started: Contenders) -> list[list[Run]]:
    """What takes turns with each other. All send the same headers, so that all read as much."""
    headers = started.zenzefi.headers
    everybody = [started.direct, started.nginx, started.fastapi, started.zenzefi]
    proxies = [started.fastapi, started.zenzefi]
    denied = Run(_DENIED, started.zenzefi, {**headers, "X-Access-Token": _BAD_TOKEN})
    return [
        [*(Run(_GET, server, headers) for server in everybody), denied],
        [Run(_POST, server, headers) for server in proxies],
        [Run(_GET_LARGE, server, headers) for server in proxies],
    ]


def _check_count(runs: list[Run], counted: int) -> None:
    """The gateway's own count of the session agrees with what wrk sent."""
    admitted = [run for run in runs if run.server.name == "Zenzefi" and run.task != _DENIED]
    answers = sum(run.answers for run in admitted)
    sent_at_most = answers + sum(run.unanswered for run in admitted)
    figures = f"Zenzefi counted {counted:,} requests; wrk had {answers:,} answers and sent at most {sent_at_most:,}."
    print(figures, file=sys.stderr)
    if not answers * (1 - _MISCOUNT) <= counted <= sent_at_most * (1 + _MISCOUNT):
        raise BenchFailed(f"{figures} That is more than 1 % apart.")


def _conclude(options: argparse.Namespace, runs: list[Run]) -> int:
    by_name = {(run.task, run.server.name): run for run in runs}
    admitted = by_name[_GET, "Zenzefi"]
    achieved = report.ratio(admitted, by_name[_GET, "fastapi-proxy-lib"])
    denied = report.ratio(by_name[_DENIED, "Zenzefi"], admitted)
    print(report.markdown(runs) if options.markdown else report.plain(runs))
    print(f"\nZenzefi denies a bad token {denied:.2f} times as fast as it carries GET 1 KB.")
    print(report.circumstances(options.gateway_python, rounds=options.rounds, seconds=options.seconds))
    if achieved < GOAL:
        print(
            f"The goal is missed: Zenzefi carries {achieved:.2f} times as many GET 1 KB requests per second as "
            f"fastapi-proxy-lib, not {GOAL} times.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
