"""Assertions on responses that a cutoff aborts."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from datetime import datetime

import httpx
import pytest
from django.utils import timezone

from proxy.tests.support.clock import running_seconds


@contextlib.contextmanager
def within_two_seconds() -> Iterator[None]:
    """Fail if the block takes two seconds or more."""
    started = time.monotonic()
    yield
    assert running_seconds(started) < 2


def assert_aborted(pieces: Iterable[bytes]) -> None:
    """Read a response until its connection breaks off; fail if it goes on for 3 s or ends as if complete."""
    started = time.monotonic()
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        all(running_seconds(started) < 3 for _ in pieces)


def assert_aborted_at(pieces: Iterable[bytes], end: datetime) -> None:
    """Read a response until its connection breaks off, at this time or less than two seconds later."""
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        all(seconds_late(end) < 2 for _ in pieces)
    assert 0 <= seconds_late(end) < 2


def seconds_late(end: datetime) -> float:
    """Return the seconds since this time, without those lost by a loaded machine; before it, a negative number."""
    past = (timezone.now() - end).total_seconds()
    return past if past < 0 else max(0, running_seconds(time.monotonic() - past))
