"""What random traffic consists of, and many who make it at once."""

import random
import threading
from collections.abc import Callable
from typing import Self

from proxy.tests.support import hostile_requests
from proxy.tests.support.hostile_clients import HostileVisitor
from proxy.tests.support.valid_client import Tally, Visitor

Act = Callable[[HostileVisitor], None]


def _named(*acts: Act) -> dict[str, Act]:
    return {act.__name__: act for act in acts}


def _sent(kind: str) -> Act:
    return lambda visitor: visitor.hostile(kind)


GOOD = _named(Visitor.exchange, Visitor.large, Visitor.slow, Visitor.expects, Visitor.pipeline, Visitor.socket)
BAD = {
    **_named(
        HostileVisitor.odd_answer, HostileVisitor.answer_with_more, HostileVisitor.refused_answer,
        HostileVisitor.broken_answer, HostileVisitor.hostile_socket, HostileVisitor.hostile_handshake,
        HostileVisitor.socket_that_vanishes,
    ),
    **{kind: _sent(kind) for kind in hostile_requests.KINDS},
}  # fmt: skip
# What takes as long as the gateway is patient.
PATIENT = {
    **_named(HostileVisitor.late_answer, HostileVisitor.stalled_answer),
    **{kind: _sent(kind) for kind in hostile_requests.SLOW_KINDS},
}
KINDS = {**GOOD, **BAD, **PATIENT}


class Crowd:
    """Visitors in threads of their own, each with its own share of the kinds.

    `seen` is what was done at all, and `problems` what was wrong.
    """

    def __init__(self, visitors: list[tuple[HostileVisitor, list[str]]]) -> None:
        self.problems: list[str] = []
        self.seen: set[str] = set()
        self._visitors = [visitor for visitor, _ in visitors]
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=pair) for pair in visitors]

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
        whole = Tally()
        for visitor in self._visitors:
            whole.add(visitor.tally)
        return whole

    def _repeat(self, visitor: HostileVisitor, kinds: list[str]) -> None:
        deck: list[str] = []
        while not self._ends.is_set() and len(self.problems) < 20:
            deck = deck or random.Random(f"{visitor.seed}/{visitor.visits}").sample(kinds, len(kinds))
            kind = deck.pop()
            try:
                visitor.visit(kind, KINDS[kind])
            except AssertionError as error:
                self.problems.append(str(error))
            self.seen.add(kind)
