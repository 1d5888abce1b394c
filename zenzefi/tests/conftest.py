"""Fixtures for tests of the main command and for tests in Russian."""

import os
import signal
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.test import override_settings
from django.utils.translation import get_language, override

from proxy.dataplane.denials import responses
from zenzefi.tests.support.command import Command, Serve


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


@pytest.fixture(scope="module")
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compile the catalogue, so that Django reads its current texts."""
    (source,) = (path / "ru/LC_MESSAGES/django.po" for path in settings.LOCALE_PATHS)
    directory = tmp_path_factory.mktemp("locale")
    messages = directory / "ru/LC_MESSAGES/django.mo"
    messages.parent.mkdir(parents=True)
    with messages.open("wb") as file:
        write_mo(file, read_po(BytesIO(source.read_bytes()), locale="ru"))
    responses._denial_body.cache_clear()
    with override_settings(LOCALE_PATHS=[directory]):
        yield
    responses._denial_body.cache_clear()


@pytest.fixture
def _translated(_compiled: None) -> Iterator[None]:
    with override(get_language()):  # a request changes the language of the thread of the test
        yield
