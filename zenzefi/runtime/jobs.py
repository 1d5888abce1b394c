"""Background jobs of the main command: threads of its process or, with Redis, a Celery worker and a beat process."""

import ctypes
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import signals
from celery.beat import EmbeddedService, Scheduler
from django.conf import settings
from django.db import close_old_connections

from zenzefi.celery import app

_STOP_SECONDS = 10
_PR_SET_PDEATHSIG = 1  # prctl(2)


@contextmanager
def running() -> Iterator[None]:
    """Run the jobs of `CELERY_BEAT_SCHEDULE`, and those that the application sends, until the block ends."""
    with _processes() if settings.REDIS_URL else _threads():
        yield


@contextmanager
def _threads() -> Iterator[None]:
    signals.task_prerun.connect(_renew_connections)
    signals.task_postrun.connect(_renew_connections)
    worker = app.WorkController(
        pool_cls="threads", concurrency=2, without_gossip=True, without_mingle=True, without_heartbeat=True
    )
    # Daemon threads end with the gateway. Work that must not be lost is in the database.
    threading.Thread(target=worker.start, name="jobs", daemon=True).start()
    # With thread=True this is a daemon thread.
    beat: Any = EmbeddedService(app, thread=True, scheduler_cls=Scheduler)
    beat.start()
    try:
        yield
    finally:
        beat.stop()
        worker.stop()


def _renew_connections(**_kwargs: Any) -> None:
    """Close database connections that are too old or broken; Django opens new ones."""
    close_old_connections()


@contextmanager
def _processes() -> Iterator[None]:
    celery = [sys.executable, "-m", "celery", "--app", "zenzefi"]
    children = [
        subprocess.Popen([*celery, *arguments], preexec_fn=_die_with_parent)  # noqa: S603, PLW1509
        for arguments in (
            ["worker", "--concurrency", "2", "--without-gossip", "--without-mingle"],
            ["beat", "--scheduler", "celery.beat:Scheduler"],
        )
    ]
    try:
        yield
    finally:
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()


def _die_with_parent() -> None:
    """Have the kernel end this process if the gateway is killed.

    Linux only; elsewhere it ends with the process group.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
