"""Assertions on responses that a cutoff aborts."""

import contextlib
import time
from collections.abc import Iterable, Iterator

import httpx
import pytest


@contextlib.contextmanager
def within_two_seconds() -> Iterator[None]:
    """Fail if the block takes two seconds or more."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 2


def assert_aborted(pieces: Iterable[bytes]) -> None:
    """Read a response until its connection breaks off; fail if it goes on for 3 s or ends as if complete."""
    until = time.monotonic() + 3
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        all(time.monotonic() < until for _ in pieces)
