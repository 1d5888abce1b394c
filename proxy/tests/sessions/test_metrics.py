"""The metrics of the data plane at `/metrics`, for one worker and for several."""

import subprocess
import sys
import threading
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest
from django.conf import settings
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from access import services
from access.models import AccessToken
from proxy.dataplane.metrics import Metrics
from proxy.dataplane.sessions.in_flight import InFlightRegistry
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import open_socket

# A worker that publishes the numbers in its arguments and runs until its input ends.
WORKER = """
import sys
from types import SimpleNamespace
import django
django.setup()
from proxy.dataplane.metrics import Metrics
from proxy.dataplane.sessions.in_flight import InFlightRegistry
responses, live, grants = map(int, sys.argv[1:])
in_flight = InFlightRegistry(256)
in_flight._by_token = {number: {object()} for number in range(live)}
in_flight.cuts["invalid_token"] = live
in_flight.cut_delays.append(("invalid_token", 0.2))
accounting, log = SimpleNamespace(total=SimpleNamespace(bytes=10 * responses)), SimpleNamespace(dropped=responses)
metrics = Metrics(in_flight, range(grants), accounting, log)
for _ in range(3):
    metrics.responses[200] += responses
    metrics.publish()
print("published", flush=True)
sys.stdin.read()
"""

# A scrape after the death of the workers whose process ids are the arguments.
SCRAPE = """
import sys
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
for dead in sys.argv[1:]:
    multiprocess.mark_process_dead(int(dead))
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
sys.stdout.buffer.write(generate_latest(registry))
"""


def samples(text):
    """Return the data plane's samples by name and labels."""
    return {
        (sample.name.removeprefix("zenzefi_proxy_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("zenzefi_proxy_")
    }


def metrics_of(**counted):
    accounting = SimpleNamespace(total=SimpleNamespace(bytes=counted.get("bytes", 0)))
    return Metrics(counted.get("registry", InFlightRegistry(256)), [], accounting, SimpleNamespace(dropped=0))


def scraped(*metrics):
    registry = CollectorRegistry()
    for one in metrics:
        registry.register(one)
    return samples(generate_latest(registry).decode())


def increases(before, after):
    """Return the increases of the counters that have changed."""
    return {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}


@pytest.fixture
def scrape(gateway):
    return lambda: samples(httpx.get(f"{gateway.url}/metrics", trust_env=False).text)


def test_responses_denials_and_cutoffs(gateway, scrape, alice_token, olga):
    before = scrape()
    assert gateway.client(alice_token).get("/echo").status_code == 200
    assert gateway.client().get("/echo").status_code == 401
    with open_socket(gateway, "/ws/echo", alice_token):
        assert (scrape()[("in_flight",)], scrape()[("cached_grants",)]) == (1, 1)
        services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
        eventually(lambda: len(gateway.plane.in_flight) == 0)
    new = increases(before, scrape())
    assert new[("responses_total", "200")] == 1
    assert new[("denials_total", "invalid_token")] == 1
    assert new[("cuts_total", "invalid_token")] == 1
    assert new[("bytes_total",)] > 0
    assert new[("cut_delay_seconds_count", "invalid_token")] == 1
    assert 0 < new[("cut_delay_seconds_sum", "invalid_token")] < 2
    assert new[("cut_delay_seconds_bucket", "invalid_token", "2.0")] == 1
    assert (scrape()[("in_flight",)], scrape()[("cached_grants",)]) == (0, 0)


def test_the_delay_of_an_expiry_counts_from_the_deadline(gateway, scrape, alice_token):
    before = scrape()
    end = timezone.now() + timedelta(seconds=1)
    AccessToken.objects.update(created_at=end - timedelta(hours=1), expires_at=end)
    with open_socket(gateway, "/ws/echo", alice_token):
        eventually(lambda: gateway.plane.in_flight.cuts)
    new = increases(before, scrape())
    assert new[("cut_delay_seconds_count", "token_expired")] == 1
    assert 0 < new[("cut_delay_seconds_sum", "token_expired")] < 1


def test_a_cutoff_by_a_silent_feed_has_no_delay(gateway, scrape, alice_token, monkeypatch):
    before = scrape()
    with open_socket(gateway, "/ws/echo", alice_token):
        monkeypatch.setattr(gateway.plane.feed, "silent_seconds", lambda: 30.5)
        eventually(lambda: gateway.plane.in_flight.cuts)
    new = increases(before, scrape())
    assert new[("cuts_total", "state_unavailable")] == 1
    assert ("cut_delay_seconds_count", "state_unavailable") not in new


def test_counters_continue_after_a_restart_of_the_data_plane(gateway, scrape, alice_token):
    before = scrape()
    for _ in range(3):
        gateway.client(alice_token).get("/echo")
        gateway.restart()
    gateway.client(alice_token).get("/echo")
    new = increases(before, scrape())
    assert new[("responses_total", "200")] == 4


def test_simultaneous_scrapes_publish_a_count_once():
    before = scraped(metrics_of())
    metrics = metrics_of(bytes=1000)
    metrics.responses = Counter({200: 70, 404: 7})
    threads = [threading.Thread(target=metrics.publish) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics.responses[200] += 1
    new = increases(before, scraped(metrics))
    assert (new[("responses_total", "200")], new[("responses_total", "404")], new[("bytes_total",)]) == (71, 7, 1000)


def test_a_sweep_publishes_without_a_scrape(gateway, alice_token):
    """Publish in each sweep, because a scrape of several workers reads files that each worker writes."""
    before = scraped(metrics_of())
    gateway.client(alice_token).get("/echo")
    eventually(lambda: increases(before, scraped(metrics_of())).get(("responses_total", "200")) == 1, 2)


@pytest.fixture
def multiprocess_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "zenzefi.settings")


def worker(*counted):
    arguments = [sys.executable, "-c", WORKER, *map(str, counted)]
    process = subprocess.Popen(
        arguments, cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "published\n"
    return process


def scrape_all(*dead):
    """Scrape in another process, because the metrics of this process are not in files."""
    arguments = [sys.executable, "-c", SCRAPE, *map(str, dead)]
    return samples(
        subprocess.run(arguments, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True).stdout
    )


def test_several_workers_add_up_and_the_gauges_of_a_dead_one_vanish(multiprocess_environment):
    one, two = worker(10, 2, 5), worker(1, 3, 7)
    counters = {
        ("responses_total", "200"): 33,
        ("cuts_total", "invalid_token"): 5,
        ("bytes_total",): 110,
        ("denials_unrecorded_total",): 11,
        ("cut_delay_seconds_count", "invalid_token"): 2,
    }
    try:
        both = scrape_all()
        assert both | counters == both
        assert (both[("in_flight",)], both[("cached_grants",)]) == (5, 12)
        one.kill()
        one.wait()
        left = scrape_all(one.pid)
        assert left | counters == left
        assert (left[("in_flight",)], left[("cached_grants",)]) == (3, 7)
    finally:
        for process in (one, two):
            process.kill()
            process.communicate()
