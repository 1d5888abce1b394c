"""Turns of the control plane's requests: how many run in threads at the same time, and how many wait."""

import asyncio
from collections import Counter, deque
from collections.abc import MutableMapping
from typing import Any, NamedTuple

from proxy.dataplane.asgi import Receive

RUNNING = 32  # requests at the same time; twice the connections of their pool, because many wait for no database
_RUNNING_PER_CLIENT = RUNNING // 2
_MAX_WAITING = 512
_WAIT_SECONDS = 15.0


class TooManyRequests(Exception):
    """So many requests wait that this one would not run in time."""


class _Waiting(NamedTuple):
    client: str
    turn: asyncio.Future[None]


class Turns:
    """Gives turns in the order of requests. A client whose requests use half of them waits for those."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._waiting: deque[_Waiting] = deque()

    async def take(self, client: str) -> None:
        """Wait for a turn of this client, at most fifteen seconds. Raise `TooManyRequests` if there is none."""
        if self._has_turn(client):
            self._running[client] += 1
            return
        if len(self._waiting) >= _MAX_WAITING:
            raise TooManyRequests
        waiting = _Waiting(client, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await waiting.turn
        except BaseException as error:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif waiting.turn.done() and not waiting.turn.cancelled():
                self.give_back(client)
            if isinstance(error, TimeoutError):
                raise TooManyRequests from error
            raise

    def give_back(self, client: str) -> None:
        """End a turn of this client, and start those that can run now."""
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        for waiting in list(self._waiting):
            if self._running.total() >= RUNNING:
                return
            if self._has_turn(waiting.client):
                self._waiting.remove(waiting)
                self._running[waiting.client] += 1
                waiting.turn.set_result(None)

    def _has_turn(self, client: str) -> bool:
        return self._running.total() < RUNNING and self._running[client] < _RUNNING_PER_CLIENT


class RequestTurn:
    """The turn of one request, taken when its body is complete."""

    def __init__(self, turns: Turns, client: str, receive: Receive) -> None:
        self._turns = turns
        self._client = client
        self._receive = receive
        self._taken = False
        self._next: asyncio.Future[MutableMapping[str, Any]] | None = None

    async def receive(self) -> MutableMapping[str, Any]:
        """Return the next message of the request, the end of its body once the request has a turn.

        If the client leaves before that, return its disconnect. Raise `TooManyRequests` if there is no turn in time.
        """
        if self._next is not None:
            return await self._next
        message = await self._receive()
        if message["type"] != "http.request" or message.get("more_body"):
            return message
        self._next = asyncio.ensure_future(self._receive())
        taking = asyncio.ensure_future(self._take())
        try:
            await asyncio.wait((self._next, taking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            taking.cancel()
            await asyncio.wait([taking])
        if taking.cancelled():
            return await self._next
        taking.result()
        return message

    async def _take(self) -> None:
        await self._turns.take(self._client)
        self._taken = True

    def end(self) -> None:
        """Give back the turn, if the request has one."""
        if self._taken:
            self._taken = False
            self._turns.give_back(self._client)

    def close(self) -> None:
        """Give back the turn, and stop listening for the client."""
        self.end()
        if self._next is not None:
            self._next.cancel()
