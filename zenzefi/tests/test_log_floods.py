"""A flood of malformed requests produces one log record per minute, and the next one has the number of the others."""

import json
import logging

import pytest

from proxy.tests.support.raw_client import connected
from zenzefi.common import logging_filters
from zenzefi.common.logging_filters import SECONDS, FloodFilter

MALFORMED = "Invalid HTTP request received."


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock, in seconds, by one that the test sets."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(logging_filters, "time", clock)
    return clock


@pytest.fixture
def say(clock):
    """Return a function that logs a message. It returns the number suppressed before, or None if it is suppressed."""
    sparse = FloodFilter()

    def say(message, *arguments, level=logging.WARNING):
        record = logging.LogRecord("uvicorn.error", level, "", 0, message, arguments, None)
        return getattr(record, "suppressed", 0) if sparse.filter(record) else None

    return say


def test_one_line_a_minute_counts_the_suppressed_ones(say, clock):
    assert [say(MALFORMED) for _ in range(4)] == [0, None, None, None]
    clock.now += SECONDS - 1
    assert say(MALFORMED) is None
    clock.now += 1
    assert [say(MALFORMED), say(MALFORMED)] == [4, None]
    clock.now += SECONDS
    assert say(MALFORMED) == 1
    clock.now += SECONDS
    assert say(MALFORMED) == 0


def test_each_message_is_counted_without_its_arguments(say):
    assert [say("%s is late", 1), say("%s is late", 2), say(MALFORMED)] == [0, None, 0]


def test_errors_always_pass(say):
    assert [say("broken", level=logging.ERROR) for _ in range(3)] == [0, 0, 0]


# case E66
@pytest.mark.embedded
def test_a_flood_of_malformed_requests(serve):
    command = serve()
    command.wait_ready()
    before = len(command.output)
    for request in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"):
        for _ in range(200):
            with connected(command.port) as client:
                client.send(request)
                assert client.read_response().status == 400
    lines = [json.loads(line) for line in command.output[before:].splitlines()]
    assert [(line["event"], line["suppressed"]) for line in lines if line["logger"] == "uvicorn.error"] == [
        (MALFORMED, 0)
    ]
