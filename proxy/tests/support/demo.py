"""Helpers for tests of the demo upstream."""

import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition is true; fail after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # the server runs in another thread
            await asyncio.sleep(0.01)


def content(first: int, last: int) -> bytes:
    """Return the bytes of a download from position `first` to `last`."""
    return bytes(position % 251 for position in range(first, last + 1))
