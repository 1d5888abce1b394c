"""The nightly verification: its result at `/metrics`, and the alarm to operators."""

import math
import subprocess
import sys
import time
from decimal import Decimal

import pytest
import time_machine
from django.conf import settings
from django.core.cache import cache
from prometheus_client.parser import text_string_to_metric_families
from redis.exceptions import RedisError

from accounts.models import User
from billing import nightly_verification, tasks
from billing.models import Account
from billing.tests.support.commands import verify_ledger
from conftest import fund


def shown(text):
    """Return the number of discrepancies and the time of the last verification from a response of `/metrics`."""
    samples = {
        sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples
    }
    return samples["zenzefi_ledger_discrepancies"], samples["zenzefi_ledger_proved_timestamp_seconds"]


@pytest.fixture
def scrape(client):
    return lambda: shown(client.get("/metrics").content.decode())


@pytest.fixture
def overwritten(alice):
    """Return Alice's wallet, whose balance was overwritten with 1000 ZNC."""
    fund(alice, 10)
    Account.objects.filter(user=alice).update(balance=Decimal(1000))
    return alice.wallet


def test_before_the_first_proof_nothing_is_claimed(scrape, db):
    assert all(map(math.isnan, scrape()))


def test_a_sound_ledger_is_shown_and_no_e_mail_is_sent(scrape, alice, olga, mailoutbox):
    fund(alice, 10)
    before = time.time()
    assert tasks.prove_ledger() == 0
    discrepancies, ended_at = scrape()
    assert discrepancies == 0
    assert before <= ended_at <= time.time()
    assert mailoutbox == []


def test_what_is_off_is_counted_and_mailed_to_the_operators(scrape, overwritten, olga, bob, mailoutbox):
    # case A15
    User.objects.create_superuser("otto@example.com", "otto", None)
    User.objects.create_superuser("gone@example.com", "gone", None, is_active=False)

    assert tasks.prove_ledger() == 1

    assert scrape()[0] == 1
    (mail,) = mailoutbox
    assert mail.to == ["olga@example.com", "otto@example.com"]
    assert mail.subject == "The Zenzefi ledger has discrepancies"
    named = f"wallet {overwritten.pk}: shows 1000.00 ZNC, its entries sum to 10.00 ZNC"
    assert mail.body.startswith(f"The nightly check of the ledger found 1 discrepancy:\n\n{named}\n\nRun `manage.py")


def test_the_operators_hear_of_it_once_a_night(overwritten, olga, mailoutbox):
    with time_machine.travel("2026-03-01T03:07:00Z"):
        tasks.prove_ledger()
        tasks.prove_ledger()  # a job may be delivered twice
    assert len(mailoutbox) == 1
    with time_machine.travel("2026-03-02T03:07:00Z"):
        tasks.prove_ledger()
    assert len(mailoutbox) == 2


def test_a_long_list_is_cut_and_counted(overwritten, olga, bob, mailoutbox, monkeypatch):
    monkeypatch.setattr(nightly_verification, "MAX_LISTED", 1)
    Account.objects.filter(user=bob).update(balance=Decimal(7))
    assert tasks.prove_ledger() == 2
    (mail,) = mailoutbox
    assert "found 2 discrepancies:" in mail.body
    assert mail.body.count("\nwallet ") == 1
    assert "\n\nand 1 more.\n\n" in mail.body


def test_without_an_operator_it_is_logged(overwritten, mailoutbox, caplog):
    tasks.prove_ledger()
    assert mailoutbox == []
    assert "ledger_alarm_not_sent" in caplog.messages


def test_once_it_is_repaired_the_command_clears_the_figure(scrape, overwritten, olga):

    tasks.prove_ledger()
    Account.objects.filter(pk=overwritten.pk).update(balance=Decimal(10))
    assert verify_ledger() == (0, ["The ledger is consistent."])
    assert scrape()[0] == 0


def test_without_the_cache_the_operators_still_hear_of_it(scrape, overwritten, olga, mailoutbox, monkeypatch, caplog):
    def gone(*_args, **_kwargs):
        raise RedisError

    for call in ("get", "set", "add"):
        monkeypatch.setattr(cache, call, gone)
    assert tasks.prove_ledger() == 1
    assert len(mailoutbox) == 1
    scrape()
    assert "verification_result_not_stored" in caplog.messages
    assert "verification_result_not_read" in caplog.messages


def test_it_is_scheduled_for_the_night():
    (entry,) = (job for job in settings.CELERY_BEAT_SCHEDULE.values() if job["task"] == tasks.prove_ledger.name)
    assert (entry["schedule"].hour, entry["schedule"].minute) == ({3}, {7})


# One of several workers, scraped once.
WORKER = """
import sys
import django
django.setup()
from django.core.cache import cache
from billing import nightly_verification
cache.set("ledger-proof", (int(sys.argv[1]), float(sys.argv[2])))
nightly_verification.update_metrics()
"""
SCRAPE = """
import sys
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
sys.stdout.buffer.write(generate_latest(registry))
"""


def test_of_several_workers_the_newest_outcome_is_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "zenzefi.settings")

    def python(code, *arguments):
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True).stdout

    python(WORKER, "3", "1000")
    python(WORKER, "0", "2000")
    assert shown(python(SCRAPE)) == (0, 2000)
