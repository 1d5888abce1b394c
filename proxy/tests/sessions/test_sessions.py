"""Sessions: their rows, which are written in bulk, and the status endpoint."""

import asyncio
import uuid
from datetime import datetime, timedelta

from django.db import OperationalError
from django.utils import timezone

from proxy.dataplane.jobs import flush as flush_module
from proxy.models import ProxySession
from proxy.tasks import close_idle_sessions
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.servers import eventually

OTHER = "another-device"


def flush(gateway):
    gateway.run(gateway.plane.flush.run())


def parsed(text):
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


class TestRows:
    def test_the_columns(self, gateway, recorded, alice, alice_token):
        before = timezone.now()
        client = gateway.client(alice_token)
        client.get("/x", headers={"User-Agent": "desktop/1.0 (тест)".encode()})
        client.post("/x", content=b"12345")
        flush(gateway)
        row = ProxySession.objects.get()
        assert (row.token_id, row.user_id) == (alice_token.token.pk, alice.pk)
        assert (row.device_id, row.ip, row.user_agent) == (alice_token.device, "127.0.0.1", "desktop/1.0 (тест)")
        assert (row.request_count, row.bytes_transferred, row.ended_at) == (2, 2 + 5 + 2, None)
        assert before <= row.started_at <= row.last_activity <= timezone.now()

    def test_a_long_or_strange_user_agent(self, gateway, recorded, alice_token, bob_token):
        gateway.client(alice_token).get("/x", headers={"User-Agent": b"\xff\xfe" + b"u" * 5000})
        gateway.client(bob_token).get("/x", headers={"User-Agent": ""})
        flush(gateway)
        agents = {row.token_id: row.user_agent for row in ProxySession.objects.all()}
        assert len(agents[alice_token.token.pk]) == 500
        assert agents[bob_token.token.pk] == ""

    def test_the_same_row_is_updated(self, gateway, recorded, alice_token):
        client = gateway.client(alice_token)
        for count in (1, 2, 3):
            client.get("/x")
            flush(gateway)
            assert ProxySession.objects.get().request_count == count

    def test_no_write_per_request(self, gateway, recorded, alice_token, monkeypatch):
        writes = []
        write = flush_module.write_sessions

        def counted(rows):
            writes.append(len(rows))
            write(rows)

        monkeypatch.setattr(flush_module, "write_sessions", counted)
        client = gateway.client(alice_token)
        for _ in range(200):
            assert client.get("/x").status_code == 200
        assert len(writes) <= 2
        flush(gateway)
        assert ProxySession.objects.get().request_count == 200
        count = len(writes)
        flush(gateway)  # nothing is written, as nothing is new
        assert len(writes) == count

    def test_written_periodically(self, gateway, recorded, alice_token, monkeypatch):
        assert flush_module.SECONDS <= 5
        monkeypatch.setattr(flush_module, "SECONDS", 0.2)
        gateway.restart()
        gateway.client(alice_token).get("/x")
        eventually(lambda: ProxySession.objects.filter(request_count=1).exists(), seconds=2)

    def test_written_at_a_shutdown(self, gateway, recorded, alice_token, bob_token):
        gateway.client(alice_token).get("/x")
        gateway.client(bob_token).get("/x")
        gateway.restart()
        assert sorted(ProxySession.objects.values_list("request_count", flat=True)) == [1, 1]

    def test_an_open_stream_is_counted_while_it_runs(self, gateway, alice_token):
        with gateway.client(alice_token).stream("GET", "/events?interval=0.05") as stream:
            seen = 0
            for event in stream.iter_raw():
                seen += len(event)
                if seen > 300:
                    break
            flush(gateway)
            assert ProxySession.objects.get().bytes_transferred >= 300

    def test_a_failed_write_is_repeated(self, gateway, recorded, alice_token, monkeypatch):
        def fail(_rows):
            raise OperationalError("unavailable")

        gateway.client(alice_token).get("/x")
        with monkeypatch.context() as patch:
            patch.setattr(flush_module, "write_sessions", fail)
            flush(gateway)
            assert not ProxySession.objects.exists()
        flush(gateway)
        assert ProxySession.objects.get().request_count == 1

    def test_another_device_is_another_session(self, gateway, recorded, alice_token):
        gateway.client(alice_token).get("/x")
        gateway.run(gateway.plane.gate.release_lease(alice_token.token.pk, 1))
        gateway.client(alice_token.on(OTHER)).get("/x")
        flush(gateway)
        rows = ProxySession.objects.values_list("device_id", "request_count")
        assert sorted(rows) == [(OTHER, 1), (alice_token.device, 1)]

    def test_a_pause_begins_another_session(self, gateway, recorded, alice_token):
        gateway.restart(SESSION_TIMEOUT_SECONDS=1)
        client = gateway.client(alice_token)
        client.get("/x")
        gateway.wait_for_free(alice_token)
        client.get("/x")
        flush(gateway)
        assert list(ProxySession.objects.values_list("request_count", flat=True)) == [1, 1]

    def test_denied_requests_are_not_counted(self, gateway, recorded, alice_token):
        gateway.client(alice_token).get("/x")
        assert_denied(gateway.client(alice_token.on(OTHER)).get("/x"), "device_conflict")
        flush(gateway)
        assert ProxySession.objects.get().request_count == 1


class TestIdleSessions:
    def test_they_are_closed(self, alice_token, settings):
        now = timezone.now()
        rows = {}
        for name, seconds, ended in (("idle", 301, None), ("live", 290, None), ("ended", 900, 800)):
            rows[name] = ProxySession.objects.create(
                token=alice_token.token,
                user=alice_token.token.user,
                device_id=name,
                started_at=now - timedelta(hours=1),
                last_activity=now - timedelta(seconds=seconds),
                ended_at=ended and now - timedelta(seconds=ended),
            )
        assert close_idle_sessions() == 1
        assert close_idle_sessions() == 0
        for row in rows.values():
            row.refresh_from_db()
        assert rows["idle"].ended_at == rows["idle"].last_activity
        assert rows["live"].ended_at is None
        assert rows["ended"].ended_at == now - timedelta(seconds=800)


class TestStatus:
    def test_without_a_session(self, gateway, recorded, alice, alice_token):
        response = gateway.client(alice_token).get("/status")
        body = response.json()
        remaining = body.pop("time_remaining_seconds")
        assert 3590 <= remaining <= 3600
        assert parsed(body.pop("expires_at")) == alice_token.token.expires_at
        assert (response.status_code, body) == (
            200,
            {
                "connected": False,
                "status": "active",
                "user_id": str(alice.pk),
                "token_id": str(alice_token.token.pk),
                "session_id": None,
                "scope": "full",
                "started_at": None,
                "bytes_transferred": 0,
                "request_count": 0,
            },
        )
        flush(gateway)
        assert not ProxySession.objects.exists()
        assert recorded.requests == []
        assert alice_token.stored().activated_at is None

    def test_with_a_session(self, gateway, recorded, alice_token):
        client = gateway.client(alice_token)
        client.post("/x", content=b"12345")
        client.get("/x")
        body = client.get("/status").json()
        flush(gateway)
        row = ProxySession.objects.get()
        assert body["connected"] is True
        assert uuid.UUID(body["session_id"]) == row.pk
        assert (body["request_count"], body["bytes_transferred"]) == (2, 9)
        assert parsed(body["started_at"]) == row.started_at
        assert client.get("/status").json()["request_count"] == 2
        assert len(recorded.requests) == 2

    def test_it_does_not_count_as_activity(self, gateway, recorded, alice_token):
        client = gateway.client(alice_token)
        client.get("/x")
        flush(gateway)
        before = ProxySession.objects.get().last_activity
        client.get("/status")
        flush(gateway)
        assert ProxySession.objects.get().last_activity == before

    def test_after_a_pause(self, gateway, recorded, alice_token):
        gateway.restart(SESSION_TIMEOUT_SECONDS=1)
        client = gateway.client(alice_token)
        client.get("/x")
        gateway.wait_for_free(alice_token)
        body = client.get("/status").json()
        assert (body["connected"], body["session_id"], body["request_count"]) == (False, None, 0)

    def test_on_another_device(self, gateway, recorded, alice_token):
        gateway.client(alice_token).get("/x")
        body = gateway.client(alice_token.on(OTHER)).get("/status").json()
        assert (body["connected"], body["session_id"], body["bytes_transferred"]) == (False, None, 0)

    def test_its_denials(self, gateway, recorded, alice_token):
        assert_denied(gateway.client().get("/status"), "invalid_token")
        assert_denied(gateway.client(alice_token.on("short")).get("/status"), "device_id_required")

    def test_with_the_narrow_scope(self, gateway, recorded, alice, sold_token):
        token = sold_token(alice, scope="certificates_only")
        assert gateway.client(token).get("/status").json()["scope"] == "certificates_only"


def test_a_stream_is_counted_after_a_long_silence(gateway, recorded, alice_token):
    """Count bytes that a stream transfers after its session has ended."""
    wake = asyncio.Event()

    async def pause(_request, connection):
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nx")
        await wake.wait()
        await connection.send(b"y" * 1000)

    recorded.response = pause
    gateway.restart(SESSION_TIMEOUT_SECONDS=1)
    with gateway.client(alice_token).stream("GET", "/x") as stream:
        pieces = stream.iter_raw()
        assert next(pieces) == b"x"
        gateway.wait_for_free(alice_token)
        flush(gateway)
        recorded.call(wake.set)
        assert b"".join(pieces) == b"y" * 1000
    flush(gateway)
    assert sum(ProxySession.objects.values_list("bytes_transferred", flat=True)) == 1001
