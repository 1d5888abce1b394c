"""The table of speed targets, and the types of what is measured against it."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Goal:
    """A target measured by `part`: a ratio or a value in `unit`, at least `bound` (or at most), ideally `aim`."""

    part: str
    title: str
    bound: float
    aim: float | None = None
    unit: str = "×"
    at_most: bool = False

    def is_met(self, measured: float) -> bool:
        """Return whether the measured value is within the bound."""
        return measured <= self.bound if self.at_most else measured >= self.bound

    def format(self, figure: float | None) -> str:
        """Return a figure with its unit."""
        return "" if figure is None else f"{figure:,.4g} {self.unit}"

    @property
    def formatted_bound(self) -> str:
        return ("≤ " if self.at_most else "≥ ") + self.format(self.bound)


GOALS = {
    "get / fastapi": Goal("get", "GET 1 KB, one worker, to fastapi-proxy-lib", 15, 18),
    "get / nginx": Goal("get", "GET 1 KB, one worker, to nginx as proxy", 0.10, 0.13),
    "workers": Goal("workers", "GET 1 KB, WORKERS=2 with Redis, to one worker", 1.3, 1.5),
    "post / fastapi": Goal("bodies", "POST 10 KB, to fastapi-proxy-lib", 10),
    "100k / fastapi": Goal("bodies", "GET 100 KB, to fastapi-proxy-lib", 10),
    "download": Goal("download", "Download of 1 GiB, one stream, to nginx as proxy", 0.5, 0.8),
    "websockets": Goal("websockets", "WebSocket echo, 256 B, 20 connections, to direct", 0.25, 0.40),
    "events": Goal("events", "Server-sent event, from sent to seen, p50", 5, 1, "ms", at_most=True),
    "tokens": Goal("tokens", "10 000 tokens in use of 100 000, to one token", 0.9),
    "denied": Goal("denied", "A bad token, denied, to GET 1 KB admitted", 1),
    "users rate": Goal("users", "100 users, requests", 1000, unit="/s"),
    "users p50": Goal("users", "100 users, p50", 50, unit="ms", at_most=True),
    "users p95": Goal("users", "100 users, p95", 200, unit="ms", at_most=True),
    "users errors": Goal("users", "100 users, errors", 0.1, unit="%", at_most=True),
}


class Figure(NamedTuple):
    """The figures of one server in one measurement: `rate` per second in `unit`, times in milliseconds."""

    title: str
    server: str
    rate: float | None = None
    unit: str = "requests"
    p50: float | None = None
    p99: float | None = None


@dataclass
class Findings:
    """The result of a part: figures, a measured value for each of its goals, and notes for the report."""

    figures: list[Figure]
    measured: dict[str, float]
    notes: tuple[str, ...] = ()
