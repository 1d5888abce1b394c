"""Random valid and hostile requests for ten minutes, without a 500, leftovers or uncounted bytes.

`TRAFFIC_SEED` repeats the requests of an earlier run.
"""

import os
import random
import re
import signal
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from django.conf import settings
from django.db import connection

from access.models import Scope
from proxy.models import ProxySession
from proxy.tests.support.hostile_clients import HostileClient
from proxy.tests.support.scripted_upstream import ScriptedUpstream
from proxy.tests.support.servers import eventually
from proxy.tests.support.traffic import BAD, GOOD, KINDS, PATIENT, Traffic
from proxy.tests.support.websockets import resident_bytes

SECONDS = 600
MIB = 2**20
PATIENCE = {"UPSTREAM_TIMEOUT": "3", "HEADER_TIMEOUT_SECONDS": "2", "CLIENT_BODY_TIMEOUT": "2"}
# The kinds of requests of each client. Kinds that wait for a timeout cost little CPU time.
SHARES = [list(GOOD) * 2 + list(BAD)] * 5 + [list(PATIENT)] * 3


@pytest.fixture
def upstream(_upstream_loop):
    upstream = ScriptedUpstream(_upstream_loop, stall_seconds=float(PATIENCE["UPSTREAM_TIMEOUT"]) + 1)
    yield upstream
    upstream.stop()


@pytest.fixture
def gateway(start_gateway_process, upstream):
    process = start_gateway_process(upstream.url, **PATIENCE)
    process.wait_ready()
    return process


@pytest.fixture
def say(capsys):
    """Return a function that prints even if the test passes."""

    def say(text):
        with capsys.disabled():
            sys.stdout.write(f"\n{text}")

    return say


def wait(traffic, condition):
    """Wait until the condition holds or a client reports a problem."""
    eventually(lambda: traffic.problems or condition(), 2 * SECONDS)


def descriptors(pid):
    """Return the number of open descriptors, without the bounded pools of connections to PostgreSQL and Redis."""
    ports = {connection.settings_dict["PORT"], urlsplit(settings.REDIS_URL).port}
    peers = tuple(f":{int(port):04X}" for port in ports if port)
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    pooled = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(peers)}
    opened = Path(f"/proc/{pid}/fd").iterdir()
    return sum(str(link.readlink()) not in pooled for link in opened if link.is_symlink())


def in_flight(gateway):
    """Return the number of requests and WebSockets in flight, by the gateway's metrics."""
    metrics = httpx.get(f"{gateway.url}/metrics", trust_env=False).text
    return float(re.search(r"^zenzefi_proxy_in_flight (\S+)$", metrics, re.MULTILINE)[1])


@pytest.mark.parametrize("seconds", [8, pytest.param(SECONDS, marks=pytest.mark.slow)])
def test_random_traffic(gateway, upstream, sold_token, alice, bob, say, seconds):
    seed = os.environ.get("TRAFFIC_SEED") or random.SystemRandom().randrange(2**32)
    say(f"seed {seed}")
    tokens, certificates = [sold_token(alice), sold_token(bob)], sold_token(bob, scope=Scope.CERTIFICATES_ONLY)
    pid = gateway.process.pid
    for token in tokens:
        assert gateway.get("/", token).status_code == 200  # and the device takes the lease
    idle = descriptors(pid)
    clients = [
        (HostileClient(gateway, upstream, tokens[number % 2], certificates, f"{seed}/{number}"), kinds)
        for number, kinds in enumerate(SHARES)
    ]
    with Traffic(clients) as traffic:
        began = time.monotonic()
        wait(traffic, lambda: time.monotonic() - began > seconds / 4)
        warm = resident_bytes(pid)
        # On a busy machine a kind may still be missing.
        wait(traffic, lambda: time.monotonic() - began > seconds and traffic.seen == set(KINDS))
    tally = traffic.tally
    say(f"{sum(tally.kinds.values())} actions, {tally.least} to {tally.most} bytes: {dict(tally.kinds)}")
    assert not traffic.problems, "\n".join(traffic.problems)
    assert upstream.intruders == []

    eventually(lambda: in_flight(gateway) == 0)
    upstream.end_connections()
    eventually(lambda: descriptors(pid) <= idle)
    grown = resident_bytes(pid) - warm
    assert gateway.end(signal.SIGTERM) == 0
    counted = sum(ProxySession.objects.values_list("bytes_transferred", flat=True)) - 2 * len(tokens)
    say(f"{counted} bytes counted, {grown / MIB:.1f} MiB grown since {seconds / 4} s")
    assert tally.least * 0.999 <= counted <= tally.most * 1.001
    assert tally.most - tally.least <= 0.001 * tally.most
    assert grown < 12 * MIB
    for wrong in ("Traceback", '"level": "error"', "never retrieved", "was destroyed"):
        assert wrong not in gateway.output, gateway.output[-5000:]
