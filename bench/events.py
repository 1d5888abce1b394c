"""The delay of server-sent events from the upstream to the client."""

import asyncio
import statistics
import sys
import time
from urllib.parse import urlsplit

from bench.gateway import zenzefi
from bench.goals import Figure, Findings
from bench.processes import BenchFailed, environment
from bench.servers import Server, asgi
from bench.stage import Stage

_TITLE = "server-sent events, 10 streams"
_STREAMS, _EVENTS = 10, 30
_STAGGER_SECONDS = 0.005
_TIMEOUT = 30


def measure(stage: Stage) -> Findings:
    """Measure the delay directly and through Zenzefi in turns; check that no event is missing."""
    app = "bench.events_server:app"
    with (
        asgi("direct", app, stage.directory, environment()) as direct,
        zenzefi(stage.directory / "zenzefi-events", stage.python, direct) as gateway,
    ):
        delays: dict[str, list[float]] = {direct.name: [], gateway.name: []}
        for number in range(stage.rounds):
            for server in (direct, gateway):
                seen = asyncio.run(_listen(server, gateway.headers))
                delays[server.name] += seen
                print(
                    f"{_TITLE}, round {number + 1}: {server.name} {statistics.median(seen):.2f} ms", file=sys.stderr
                )
        _check_count(gateway.request_count(), stage.rounds * _STREAMS)
    figures = [_figure(name, seen) for name, seen in delays.items()]
    return Findings(figures, {"events": statistics.median(delays[gateway.name])})


def _check_count(counted: int, streams: int) -> None:
    if counted != streams:
        raise BenchFailed(f"The gateway counted {counted} streams of events instead of {streams}.")


async def _listen(server: Server, headers: dict[str, str]) -> list[float]:
    """Return the delays of all events in milliseconds."""
    async with asyncio.timeout(_TIMEOUT), asyncio.TaskGroup() as group:
        streams = []
        for number in range(_STREAMS):
            streams.append(group.create_task(_stream(server, headers), name=f"stream {number}"))
            await asyncio.sleep(_STAGGER_SECONDS)
    return [delay for stream in streams for delay in stream.result()]


async def _stream(server: Server, headers: dict[str, str]) -> list[float]:
    url = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    lines = [f"GET {url.path}/?count={_EVENTS} HTTP/1.1", f"Host: {url.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    status, delays = await reader.readline(), []
    # Each event is one chunk, so the chunk sizes are on separate lines.
    while line := await reader.readline():
        if line.startswith(b"data: "):
            delays.append((time.monotonic_ns() - int(line[6:])) / 1e6)
    writer.close()
    if not status.startswith(b"HTTP/1.1 200 ") or len(delays) != _EVENTS:
        raise BenchFailed(f"{server.name} returned {status!r} with {len(delays)} events instead of {_EVENTS}.")
    return delays


def _figure(name: str, delays: list[float]) -> Figure:
    cuts = statistics.quantiles(delays, n=100)
    return Figure(_TITLE, name, p50=cuts[49], p99=cuts[98])
