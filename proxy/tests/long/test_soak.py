"""Mixed traffic with random revocations, which leaves no connection, lease or count behind."""

import random
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from access import services
from accounts.services import set_active
from billing.idempotency import Call
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import open_socket, websocket_tasks

TOKENS = 6
DENIED = {401, 403, 409}  # revoked, blocked, used by the other device
CUT = {4401, 4403, 4409}
BROKEN = (httpx.ReadError, httpx.RemoteProtocolError)
EXPECTED = ("requests", "stream left", "stream cut", "socket left", 401, 409)  # outcomes that must occur


class Traffic:
    """Clients in threads, which count the outcomes of their requests in `seen`."""

    def __init__(self, gateway, pool):
        self.seen = Counter()
        self._gateway = gateway
        self._pool = pool
        self._ends = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=[visit, seed])
            for seed, visit in enumerate(
                [self._requests, self._requests, self._events, self._events, self._socket] * 2
            )
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error):
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, visit, seed):
        chance = random.Random(seed)
        while not self._ends.is_set():
            sold = chance.choice(self._pool)
            if chance.random() < 0.1:
                sold = sold.on("another-device")
            try:
                self.seen[visit(sold, chance)] += 1
            except Exception as error:  # noqa: BLE001  # the test checks all outcomes
                self.seen[repr(error)] += 1

    def _client(self, sold):
        return httpx.Client(base_url=self._gateway.proxy_url, headers=sold.headers, trust_env=False, timeout=20)

    def _requests(self, sold, chance):
        with self._client(sold) as client:
            for _ in range(chance.randint(1, 20)):
                try:
                    response = client.post("/echo", content=chance.randbytes(chance.randint(0, 100_000)))
                except BROKEN:
                    return "request cut"
                if response.status_code != 200:
                    return response.status_code
        return "requests"

    def _events(self, sold, chance):
        with self._client(sold) as client, client.stream("GET", "/events?interval=0.05") as stream:
            if stream.status_code != 200:
                return stream.status_code
            try:
                for _event, _ in zip(stream.iter_raw(), range(chance.randint(1, 40)), strict=False):
                    pass
            except BROKEN:
                return "stream cut"
        return "stream left"

    def _socket(self, sold, chance):
        with open_socket(self._gateway, "/ws/echo", sold) as socket:
            try:
                for _ in range(chance.randint(1, 40)):
                    data = chance.randbytes(chance.randint(0, 50_000))
                    socket.send(data)
                    assert socket.recv(timeout=10) == data
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else "no close frame"
        return "socket left"


def _disturb(pool, alice, sold_token, chance):
    """End the access of a random token, and replace the token if it is of no more use."""
    number = chance.randrange(len(pool))
    token = pool[number].token
    match chance.choice(["revoke", "force", "reset", "block", "freeze"]):
        case "revoke":
            services.revoke_with_refund(Call(alice, "test", "", None), token.pk)
        case "force":
            services.revoke_by_force(token.pk, actor=alice, reason="soak")
        case "reset":
            services.reset_device(alice, token.pk)
            return
        case "block":
            set_active(alice, active=False, actor=None, reason="soak")
            time.sleep(0.2)
            set_active(alice, active=True, actor=None, reason="soak")
            return
        case "freeze":
            services.freeze(token.pk, actor=alice, reason="soak")
    pool[number] = sold_token(alice)


@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_nothing_is_left(gateway, alice, sold_token, seconds):
    gateway.restart(SESSION_TIMEOUT_SECONDS=2, DEVICE_RESETS_PER_DAY=1000)
    chance = random.Random(1)
    pool = [sold_token(alice) for _ in range(TOKENS)]
    used = set(pool)
    until = time.monotonic() + seconds
    with Traffic(gateway, pool) as traffic:
        # A client rarely uses a token at the moment of its revocation, perhaps a few times in six seconds.
        while time.monotonic() < until or not all(traffic.seen[end] for end in EXPECTED):
            assert time.monotonic() < until + 30, traffic.seen
            time.sleep(0.3)
            _disturb(pool, alice, sold_token, chance)
            used |= set(pool)
    seen = traffic.seen
    known = {"requests", "request cut", "stream left", "stream cut", "socket left", 1000} | DENIED | CUT
    assert set(seen) <= known, seen

    eventually(lambda: len(gateway.plane.in_flight) == 0)
    eventually(lambda: websocket_tasks(gateway) == [])
    for sold in used:
        gateway.wait_for_free(sold)
    gateway.run(gateway.plane.flush.run())
    assert gateway.plane.accounting.unwritten() == []
    gateway.plane.state.forget_ended()
    assert gateway.plane.accounting._ended == []
    eventually(lambda: established(gateway.port) == 0)
    # The restart closes the idle connections in the pool.
    upstream_port = int(gateway.plane.config.target_url.rpartition(":")[2])
    gateway.restart()
    eventually(lambda: established(upstream_port) == 0)


def established(port):
    """Return the number of established TCP connections of this machine with this port at one end."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == "01" and f"{port:04X}" in (row[1][-4:], row[2][-4:]) for row in rows)
