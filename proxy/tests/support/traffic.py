"""The kinds of random traffic, and clients that produce it at the same time."""

import random
import threading
from collections.abc import Callable
from typing import Self

from proxy.tests.support import hostile_requests
from proxy.tests.support.hostile_clients import HostileClient
from proxy.tests.support.valid_client import Tally, ValidClient

Act = Callable[[HostileClient], None]


def _named(*acts: Act) -> dict[str, Act]:
    return {act.__name__: act for act in acts}


def _hostile(kind: str) -> Act:
    return lambda client: client.hostile(kind)


GOOD = _named(
    ValidClient.exchange,
    ValidClient.large,
    ValidClient.slow,
    ValidClient.expects,
    ValidClient.pipeline,
    ValidClient.socket,
)
BAD = {
    **_named(
        HostileClient.unusual_response, HostileClient.response_with_excess, HostileClient.invalid_response,
        HostileClient.truncated_response, HostileClient.hostile_socket, HostileClient.hostile_handshake,
        HostileClient.socket_that_vanishes,
    ),
    **{kind: _hostile(kind) for kind in hostile_requests.KINDS},
}  # fmt: skip
# Kinds that last until a timeout of the gateway or the upstream.
PATIENT = {
    **_named(HostileClient.late_response, HostileClient.stalled_response),
    **{kind: _hostile(kind) for kind in hostile_requests.SLOW_KINDS},
}
KINDS = {**GOOD, **BAD, **PATIENT}


class Traffic:
    """Clients in separate threads, each with its own selection of the kinds.

    `seen` holds the kinds performed so far, and `problems` the failures.
    """

    def __init__(self, clients: list[tuple[HostileClient, list[str]]]) -> None:
        self.problems: list[str] = []
        self.seen: set[str] = set()
        self._visitors = [client for client, _ in clients]
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=pair) for pair in clients]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    @property
    def tally(self) -> Tally:
        """Return the sum of the clients' tallies."""
        total = Tally()
        for client in self._visitors:
            total.add(client.tally)
        return total

    def _repeat(self, client: HostileClient, kinds: list[str]) -> None:
        deck: list[str] = []
        while not self._ends.is_set() and len(self.problems) < 20:
            deck = deck or random.Random(f"{client.seed}/{client.performed}").sample(kinds, len(kinds))
            kind = deck.pop()
            try:
                client.perform(kind, KINDS[kind])
            except AssertionError as error:
                self.problems.append(str(error))
            self.seen.add(kind)
