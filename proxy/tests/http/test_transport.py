"""Small writes go out together in the next turn of the event loop, and in their order with whatever else is done."""

import asyncio
from unittest.mock import Mock

import pytest

from proxy.dataplane.transport import CoalescingTransport

SMALL, LARGE = b"small", b"L" * 20_000


@pytest.fixture
def connection():
    """Makes transports, each with what was done to the one behind it, all in one list."""
    done = []

    def make(name="a"):
        behind = Mock(asyncio.Transport)
        behind.is_closing.side_effect = lambda: (name, "close") in done or (name, "abort") in done
        for method in ("write", "close", "abort", "write_eof"):
            getattr(behind, method).side_effect = lambda *data, method=method: done.append(
                (name, *(data or [method]))
            )
        return CoalescingTransport(behind, asyncio.get_running_loop())

    make.done = done
    return make


async def test_small_writes_wait_for_the_next_turn_and_are_one(connection):
    one = connection()
    one.write(SMALL)
    one.write(b"er")
    assert connection.done == []
    await asyncio.sleep(0)
    assert connection.done == [("a", b"smaller")]
    one.write(SMALL)
    await asyncio.sleep(0)
    assert connection.done == [("a", b"smaller"), ("a", SMALL)]


async def test_writes_of_several_connections_follow_one_another(connection):
    loop, transports = asyncio.get_running_loop(), [connection(name) for name in "abc"]
    for transport in transports:
        loop.call_soon(transport.write, SMALL)
        loop.call_soon(connection.done.append, "something else")
    await asyncio.sleep(0)
    assert connection.done == ["something else"] * 3
    await asyncio.sleep(0)
    assert connection.done[3:] == [("a", SMALL), ("b", SMALL), ("c", SMALL)]


async def test_a_large_write_goes_at_once_behind_what_waits(connection):
    one = connection()
    one.write(SMALL)
    one.write(LARGE)
    assert connection.done == [("a", SMALL + LARGE)]
    one.write(LARGE)
    one.write(SMALL)
    await asyncio.sleep(0)
    assert connection.done[1:] == [("a", LARGE), ("a", SMALL)]


async def test_many_small_writes_are_a_large_one(connection):
    one = connection()
    for _ in range(2_000):
        one.write(b"x" * 10)
    assert connection.done == [("a", b"x" * 16_390)]  # the first to be 16 KiB or more
    await asyncio.sleep(0)
    assert b"".join(data for _, data in connection.done) == b"x" * 20_000


@pytest.mark.parametrize("end", ["close", "write_eof"])
async def test_an_end_comes_behind_what_was_written(connection, end):
    one = connection()
    one.write(SMALL)
    getattr(one, end)()
    await asyncio.sleep(0)
    assert connection.done == [("a", SMALL), ("a", end)]


async def test_an_abortion_takes_back_what_was_not_sent(connection):
    one = connection()
    one.write(SMALL)
    one.abort()
    await asyncio.sleep(0)
    assert connection.done == [("a", "abort")]


async def test_nothing_is_written_to_a_connection_that_was_lost_meanwhile(connection):
    one = connection()
    one.write(SMALL)
    connection.done.append(("a", "close"))  # by its peer
    await asyncio.sleep(0)
    assert connection.done == [("a", "close")]


async def test_who_gets_the_transport_itself_writes_behind(connection):
    one = connection()
    one.write(SMALL)
    one.release().write(b"frame")
    await asyncio.sleep(0)
    assert connection.done == [("a", SMALL), ("a", b"frame")]
