"""A WebSocket client, run as a separate process, that sends each message after the echo of the previous one.

Arguments: URL, connections, bytes per message, seconds, and the headers as JSON. It prints its figures as JSON.
"""

import asyncio
import json
import statistics
import sys
import time

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect


class _Player(WSListener):
    """One connection. Only the first one measures times, because that is costly for each message."""

    def __init__(self, payload: bytes, times: list[float] | None) -> None:
        self._payload = payload
        self._times = times
        self.playing = True
        self.echoes = 0
        self.wrong = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def serve(self) -> None:
        self._sent = time.perf_counter()
        self.transport.send(WSMsgType.BINARY, self._payload)

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE and not self.playing:
            return
        if frame.msg_type != WSMsgType.BINARY or frame.get_payload_as_memoryview() != self._payload:
            self.wrong += 1
            return
        self.echoes += 1
        if self._times is not None:
            self._times.append(time.perf_counter() - self._sent)
        if self.playing:
            self.serve()


async def _play(url: str, connections: int, size: int, seconds: float, headers: dict[str, str]) -> dict[str, float]:
    times: list[float] = []
    players = []
    for number in range(connections):
        player = _Player(bytes([65 + number % 26]) * size, None if number else times)
        await ws_connect(lambda player=player: player, url, extra_headers=headers)
        players.append(player)
    since = time.perf_counter()
    for player in players:
        player.serve()
    await asyncio.sleep(seconds)
    echoes, took = sum(player.echoes for player in players), time.perf_counter() - since
    for player in players:
        player.playing = False
    await asyncio.sleep(0.2)  # the last messages return
    for player in players:
        player.transport.send_close(1000)
        await asyncio.wait_for(player.transport.wait_disconnected(), 5)
    cuts = statistics.quantiles(times, n=100)
    return {
        "per_second": echoes / took,
        "messages": sum(player.echoes for player in players),
        "slowest": min(player.echoes for player in players),
        "wrong": sum(player.wrong for player in players),
        "p50": cuts[49] * 1000,
        "p99": cuts[98] * 1000,
    }


if __name__ == "__main__":
    url, connections, size, seconds, headers = sys.argv[1:]
    print(json.dumps(uvloop.run(_play(url, int(connections), int(size), float(seconds), json.loads(headers)))))
