"""Turns of the control plane's requests: bounds, order, and what becomes of the turn of a client that left."""

import asyncio
from collections import deque

import pytest

from zenzefi import turns as module
from zenzefi.turns import RUNNING, RequestTurn, TooManyRequests, Turns

pytestmark = pytest.mark.embedded
END = {"type": "http.request", "body": b"", "more_body": False}
LEFT = {"type": "http.disconnect"}


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def taken(turns, *clients):
    """Take a turn for each client in this order; return the tasks that still wait."""
    tasks = [asyncio.create_task(turns.take(client)) for client in clients]
    await settle()
    return [task for task in tasks if not task.done()]


async def test_all_turns_together_are_limited():
    turns = Turns()
    waiting = await taken(turns, *(f"client{number}" for number in range(RUNNING + 2)))
    assert len(waiting) == 2
    turns.give_back("client0")
    await settle()
    assert [task.done() for task in waiting] == [True, False]
    turns.give_back("client1")
    await waiting[1]


async def test_one_client_gets_half_of_them_and_others_pass_it():
    turns = Turns()
    waiting = await taken(turns, *["one"] * (RUNNING // 2 + 1))
    assert len(waiting) == 1
    assert await taken(turns, *["another"] * (RUNNING // 2)) == []
    turns.give_back("another")
    await settle()
    assert not waiting[0].done()
    turns.give_back("one")
    await waiting[0]


async def test_too_many_that_wait_are_refused(monkeypatch):
    monkeypatch.setattr(module, "_MAX_WAITING", 3)
    turns = Turns()
    waiting = await taken(turns, *(str(number) for number in range(RUNNING + 3)))
    assert len(waiting) == 3
    with pytest.raises(TooManyRequests):
        await turns.take("late")
    for task in waiting:
        task.cancel()


async def test_a_wait_that_is_too_long_is_refused_and_leaves_nothing(monkeypatch):
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.01)
    turns = Turns()
    await taken(turns, *(str(number) for number in range(RUNNING)))
    with pytest.raises(TooManyRequests):
        await turns.take("late")
    turns.give_back("0")
    await turns.take("next")
    assert await taken(turns, "after") != []


async def test_a_cancelled_wait_gives_its_turn_to_the_next():
    turns = Turns()
    first, second = await taken(turns, *(str(number) for number in range(RUNNING + 2)))
    turns.give_back("0")
    first.cancel()  # its turn was given, and it has not run since
    await second
    assert first.cancelled()


def request(turns, *messages):
    """Return the turn of a request with these messages, and the queue for later ones."""
    queue = asyncio.Queue()
    given = deque(messages)

    async def receive():
        return given.popleft() if given else await queue.get()

    return RequestTurn(turns, "client", receive), queue


async def test_the_turn_begins_with_the_end_of_the_body():
    turns = Turns()
    await taken(turns, *(str(number) for number in range(RUNNING)))
    more = {"type": "http.request", "body": b"a", "more_body": True}
    turn, queue = request(turns, more, END)
    assert await turn.receive() == more
    last = asyncio.create_task(turn.receive())
    await settle()
    assert not last.done()
    turns.give_back("0")
    assert await last == END
    queue.put_nowait(LEFT)
    assert await turn.receive() == LEFT
    turn.close()


async def test_a_client_that_leaves_while_it_waits_takes_no_turn():
    turns = Turns()
    await taken(turns, *(str(number) for number in range(RUNNING)))
    turn, queue = request(turns, END)
    last = asyncio.create_task(turn.receive())
    await settle()
    queue.put_nowait(LEFT)
    assert await last == LEFT
    turn.close()
    turns.give_back("0")
    await turns.take("next")
    assert await taken(turns, "after") != []


async def test_a_turn_ends_once():
    turns = Turns()
    await taken(turns, *(str(number) for number in range(RUNNING - 1)))
    turn, _queue = request(turns, END)
    assert await turn.receive() == END
    turn.end()
    turn.close()
    await turns.take("next")
    assert await taken(turns, "after") != []
