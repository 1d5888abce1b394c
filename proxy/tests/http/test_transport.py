"""Small writes, which the transport sends together in the next iteration of the event loop, in order."""

import asyncio
from unittest.mock import Mock

import pytest

from proxy.dataplane.transport import CoalescingTransport

SMALL, LARGE = b"small", b"L" * 20_000


@pytest.fixture
def connection():
    """Return a function that makes transports; its list `done` records the calls of the transports behind them."""
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


async def test_small_writes_are_joined_and_sent_in_the_next_iteration(connection):
    one = connection()
    one.write(SMALL)
    one.write(b"er")
    assert connection.done == []
    await asyncio.sleep(0)
    assert connection.done == [("a", b"smaller")]
    one.write(SMALL)
    await asyncio.sleep(0)
    assert connection.done == [("a", b"smaller"), ("a", SMALL)]


async def test_writes_of_several_connections_keep_their_order(connection):
    loop, transports = asyncio.get_running_loop(), [connection(name) for name in "abc"]
    for transport in transports:
        loop.call_soon(transport.write, SMALL)
        loop.call_soon(connection.done.append, "something else")
    await asyncio.sleep(0)
    assert connection.done == ["something else"] * 3
    await asyncio.sleep(0)
    assert connection.done[3:] == [("a", SMALL), ("b", SMALL), ("c", SMALL)]


async def test_a_large_write_is_sent_at_once_after_pending_ones(connection):
    one = connection()
    one.write(SMALL)
    one.write(LARGE)
    assert connection.done == [("a", SMALL + LARGE)]
    one.write(LARGE)
    one.write(SMALL)
    await asyncio.sleep(0)
    assert connection.done[1:] == [("a", LARGE), ("a", SMALL)]


async def test_many_small_writes_are_sent_as_a_large_one(connection):
    one = connection()
    for _ in range(2_000):
        one.write(b"x" * 10)
    assert connection.done == [("a", b"x" * 16_390)]  # the first multiple of 10 bytes that reaches 16 KiB
    await asyncio.sleep(0)
    assert b"".join(data for _, data in connection.done) == b"x" * 20_000


@pytest.mark.parametrize("end", ["close", "write_eof"])
async def test_pending_writes_are_sent_before_the_end(connection, end):
    one = connection()
    one.write(SMALL)
    getattr(one, end)()
    await asyncio.sleep(0)
    assert connection.done == [("a", SMALL), ("a", end)]


async def test_abort_discards_pending_writes(connection):
    one = connection()
    one.write(SMALL)
    one.abort()
    await asyncio.sleep(0)
    assert connection.done == [("a", "abort")]


async def test_pending_writes_are_discarded_if_the_connection_is_lost(connection):
    one = connection()
    one.write(SMALL)
    connection.done.append(("a", "close"))  # by its peer
    await asyncio.sleep(0)
    assert connection.done == [("a", "close")]


async def test_release_sends_pending_writes_first(connection):
    one = connection()
    one.write(SMALL)
    one.release().write(b"frame")
    await asyncio.sleep(0)
    assert connection.done == [("a", SMALL), ("a", b"frame")]
