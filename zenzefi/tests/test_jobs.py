"""Background jobs inside the main command's process, on the embedded default."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from zenzefi.celery import app

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).parents[2]

SCRIPT = """
import time
import django
django.setup()
from django.core.cache import cache
from django.core.management import call_command
from zenzefi.runtime import jobs
from zenzefi.celery import app

call_command("migrate", verbosity=0)
app.loader.import_default_modules()
missing = {entry["task"] for entry in app.conf.beat_schedule.values()} - set(app.tasks)
assert not missing, missing
app.conf.beat_schedule["check-health"]["schedule"] = 0.2
with jobs.running():
    deadline = time.monotonic() + 30
    while cache.get("health") is None and time.monotonic() < deadline:
        time.sleep(0.05)
print(cache.get("health")["checks"]["database"])
"""


def test_the_schedule_runs_in_process(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}},
            "DATA_DIR": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "zenzefi.settings",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (outcome.returncode, outcome.stdout) == (0, "ok\n"), outcome.stderr


def test_an_unreachable_broker_is_tried_every_two_seconds(monkeypatch):
    # case F67: jobs run within ten seconds of its return, however long the outage
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _seconds: None)
    pauses = []
    with socket.socket() as closed, app.connection_for_read("redis://127.0.0.1:9/0") as connection:
        closed.bind(("127.0.0.1", 0))
        connection.port = closed.getsockname()[1]
        with pytest.raises(OperationalError):
            connection.ensure_connection(lambda _error, pause: pauses.append(pause), 20)
    assert pauses == [2.0] * 20
    assert app.conf.broker_connection_max_retries is None
