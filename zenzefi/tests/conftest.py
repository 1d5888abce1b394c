"""Fixtures of the main command's tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from zenzefi.tests.command import Command, Serve


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    started: list[Command] = []

    def serve(**environment: str) -> Command:
        started.append(Command(tmp_path, **environment))
        return started[-1]

    yield serve
    for command in started:
        if command.process.poll() is None:
            os.killpg(command.process.pid, signal.SIGKILL)
            command.process.wait()
