"""The log of denials: all of them normally, a bounded sample under attack, and never a secret."""

import json
import time
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from access import services
from access.models import Scope
from proxy.dataplane.denials import log
from proxy.dataplane.denials.log import DenialLog, RequestInfo
from proxy.dataplane.errors import BAD_REQUEST, DEVICE_CONFLICT, INVALID_TOKEN, TOKEN_EXPIRED, DeniedToken
from proxy.dataplane.jobs import flush as flush_module
from proxy.dataplane.rules.cookies import sign_access
from proxy.models import LONGEST_PATH, DenialRecord
from proxy.tasks import forget_deleted_users, forget_denials
from proxy.tests.support.raw_client import exchange
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import open_socket, read_close
from zenzefi.common.iso_times import iso_time

PAST = timedelta(hours=2)
UNKNOWN = {"X-Access-Token": "u" * 64, "X-Device-ID": "unknown-device"}


def flush(gateway):
    gateway.run(gateway.plane.flush.run())


@pytest.fixture
def kept(gateway, recorded):
    """Return a function that writes the log and returns its only record."""

    def kept():
        flush(gateway)
        return DenialRecord.objects.get()

    return kept


class TestRecords:
    def test_of_an_expired_token(self, gateway, alice, alice_token, kept):
        alice_token.shift(PAST)
        before = timezone.now()
        response = gateway.client(alice_token).get("/a/b?secret=1", headers={"X-Request-ID": "number-0001"})
        record = kept()
        assert response.headers["X-Request-ID"] == record.request_id == "number-0001"
        assert (record.code, record.status, record.ip) == ("token_expired", 401, "127.0.0.1")
        assert (record.user, record.token_id, record.device) == (alice, alice_token.token.pk, "er")
        assert record.path == "/api/v1/proxy/a/b"
        assert record.detail == {"expired_at": iso_time(alice_token.stored().expires_at, "seconds")}
        assert before <= record.at <= timezone.now()

    def test_of_an_unknown_token(self, gateway, kept):
        gateway.client(headers=UNKNOWN).get("/x")
        record = kept()
        assert (record.code, record.user, record.token, record.detail) == ("invalid_token", None, None, {})

    def test_of_a_revoked_token(self, gateway, alice, olga, alice_token, kept):
        services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
        gateway.client(alice_token).get("/x")
        record = kept()
        assert (record.user, record.detail) == (alice, {"revoked": True})

    def test_of_a_path_outside_the_scope(self, gateway, alice, sold_token, kept):
        gateway.client(sold_token(alice, scope=Scope.CERTIFICATES_ONLY)).get("/pages")
        record = kept()
        assert (record.code, record.status, record.user) == ("scope_denied", 403, alice)

    def test_of_a_token_that_another_device_holds(self, gateway, alice_token, kept):
        gateway.client(alice_token.on("laptop-41")).get("/x")
        gateway.client(alice_token.on("telephone-7b")).get("/x")
        record = kept()
        assert (record.code, record.device, record.detail["holder"]) == ("device_conflict", "7b", "41")
        until = timezone.datetime.fromisoformat(record.detail["held_until"]) - timezone.now()
        assert timedelta(seconds=295) < until <= timedelta(seconds=300)

    def test_of_a_browser_session(self, gateway, alice, alice_token, kept):
        alice_token.shift(PAST)
        cookie = f"zenzefi_access={sign_access(alice_token.token.digest, 'browser-3f')}"
        gateway.client().get("/x", headers={"Cookie": cookie})
        record = kept()
        assert (record.user, record.device) == (alice, "3f")

    def test_of_a_websocket(self, gateway, socket_upstream, alice, alice_token):
        alice_token.shift(PAST)
        with open_socket(gateway, "/ws?x=1", alice_token, headers={"X-Request-ID": "number-0002"}) as client:
            assert read_close(client) == (4401, "token_expired")
        flush(gateway)
        record = DenialRecord.objects.get()
        assert (record.request_id, record.code, record.status) == ("number-0002", "token_expired", 4401)
        assert (record.user, record.path, "expired_at" in record.detail) == (alice, "/api/v1/proxy/ws", True)

    def test_of_a_token_that_changes_while_the_gateway_begins_to_drain(
        self, gateway, alice, alice_token, kept, monkeypatch
    ):
        acquire = gateway.plane.state.acquire_lease

        async def change(token_id, *arguments):
            gateway.plane.grants.drop_token(token_id)
            gateway.plane.gate.draining = True
            return await acquire(token_id, *arguments)

        monkeypatch.setattr(gateway.plane.state, "acquire_lease", change)
        gateway.client(alice_token).get("/x")
        record = kept()
        assert (record.code, record.user) == ("draining", alice)

    def test_of_an_unreachable_upstream(self, gateway, alice, alice_token, kept):
        gateway.restart(ZENZEFI_TARGET_URL="http://127.0.0.1:1")
        gateway.client(alice_token).get("/x")
        record = kept()
        assert (record.code, record.status, record.user) == ("upstream_unreachable", 502, alice)

    def test_of_a_malformed_request(self, gateway, kept):
        response = exchange(gateway.port, b"GET http://elsewhere/ HTTP/1.1\r\nHost: h\r\n\r\n")
        record = kept()
        assert response.headers["x-request-id"] == record.request_id
        assert (record.code, record.status, record.path) == ("bad_request", 400, "")

    def test_a_path_is_bounded_and_printable(self, gateway, kept):
        gateway.client(headers=UNKNOWN).get("/" + "%D1%8F" * 100 + "?q")
        path = kept().path
        assert (len(path), path.isascii()) == (LONGEST_PATH, True)
        assert log._printable(b"/a\x00\x1b\xff b") == "/a\ufffd\ufffd\ufffd\ufffdb"

    # case E66
    def test_it_has_no_token_and_no_complete_device_id(self, gateway, alice_token, kept):
        gateway.client(alice_token.on("laptop-of-alice-41")).get("/x")
        gateway.client(alice_token.on("telephone-of-alice")).get("/x")
        kept()
        stored = json.dumps(list(DenialRecord.objects.values()), default=str)
        assert alice_token.text not in stored
        assert alice_token.token.digest not in stored
        assert "of-alice" not in stored

    def test_it_is_written_within_five_seconds(self, gateway, recorded):
        gateway.client(headers=UNKNOWN).get("/x")
        eventually(DenialRecord.objects.exists, seconds=5)

    def test_waiting_denials_are_written_at_a_shutdown(self, gateway, recorded):
        gateway.client(headers=UNKNOWN).get("/x")
        gateway.restart()
        assert DenialRecord.objects.count() == 1


class TestFailures:
    def test_denials_wait_for_the_database(self, gateway, recorded, monkeypatch):
        def fail(_denials):
            raise OperationalError("away")

        monkeypatch.setattr(flush_module, "write_denials", fail)
        gateway.client(headers=UNKNOWN).get("/x")
        flush(gateway)
        monkeypatch.undo()
        assert not DenialRecord.objects.exists()
        flush(gateway)
        flush(gateway)
        assert DenialRecord.objects.count() == 1

    def test_a_denial_that_cannot_be_written_does_not_block_others(self, transactional_db, alice_token):
        known = RequestInfo(b"number-0001", token=token_of(alice_token))
        alice_token.token.delete()
        denials = DenialLog()
        for request in (known, RequestInfo(b"number-0002")):
            denials.add(TOKEN_EXPIRED, 401, request, {})
        log.write_denials(denials.take(log.MAX_WAITING))
        assert [record.request_id for record in DenialRecord.objects.all()] == ["number-0002"]


def token_of(sold):
    token = sold.token
    return DeniedToken(token.pk, token.user_id, token.expires_at.timestamp())


class TestSampling:
    @pytest.fixture
    def clock(self, monkeypatch):
        at = [1000.0]
        monkeypatch.setattr(time, "monotonic", lambda: at[0])
        return at

    @pytest.fixture
    def denials(self, clock):
        return DenialLog()

    def flood(self, denials, count, **given):
        for _ in range(count):
            denials.add(INVALID_TOKEN, 401, RequestInfo(b"number-0001", **given), {})

    def test_the_limit_per_address(self, denials, clock):
        self.flood(denials, 100, ip="192.0.2.1")
        self.flood(denials, 1, ip="192.0.2.2")
        assert len(denials.take(log.MAX_WAITING)) == log.UNKNOWN_PER_ADDRESS + 1
        assert denials.dropped == 100 - log.UNKNOWN_PER_ADDRESS
        clock[0] += log.MINUTE
        self.flood(denials, 1, ip="192.0.2.1")
        assert len(denials.take(log.MAX_WAITING)) == 1

    def test_the_limit_of_all_addresses(self, denials):
        for number in range(200):
            self.flood(denials, 1, ip=f"192.0.2.{number}")
        assert (len(denials.take(log.MAX_WAITING)), denials.dropped) == (
            log.UNKNOWN_PER_MINUTE,
            200 - log.UNKNOWN_PER_MINUTE,
        )

    def test_an_attack_does_not_hide_the_denials_of_a_token(self, denials, alice_token):
        self.flood(denials, 500, ip="192.0.2.1")
        for number in range(200):
            self.flood(denials, 1, ip=f"192.0.3.{number}")
        token = token_of(alice_token)
        self.flood(denials, 100, ip="192.0.2.1", token=token)
        kept = [logged for logged in denials.take(log.MAX_WAITING) if logged.request.token is token]
        assert len(kept) == log.KNOWN_PER_TOKEN

    def test_the_waiting_denials_are_bounded(self, denials, clock):
        for minute in range(100):
            clock[0] = 2000 + minute * log.MINUTE
            for number in range(log.UNKNOWN_PER_MINUTE):
                self.flood(denials, 1, ip=f"192.0.2.{number}")
        waiting = denials.take(log.MAX_WAITING)
        assert (len(waiting), denials.dropped) == (
            log.MAX_WAITING,
            100 * log.UNKNOWN_PER_MINUTE - log.MAX_WAITING,
        )
        denials.add(BAD_REQUEST, 400, RequestInfo(b"number-0003"), {})
        denials.put_back(waiting)
        assert (len(denials.take(log.MAX_WAITING)), denials.dropped) == (
            log.MAX_WAITING,
            100 * log.UNKNOWN_PER_MINUTE - log.MAX_WAITING + 1,
        )

    def test_dropped_denials_are_in_the_metrics(self, gateway, recorded, client):
        denied = gateway.client(headers=UNKNOWN)
        for _ in range(log.UNKNOWN_PER_ADDRESS + 5):
            denied.get("/x")
        flush(gateway)
        assert DenialRecord.objects.count() == log.UNKNOWN_PER_ADDRESS
        assert gateway.plane.denials.dropped == 5
        gateway.plane.metrics.publish()
        assert "zenzefi_proxy_denials_unrecorded_total" in client.get("/metrics").content.decode()


class TestDeletion:
    # case G84
    def test_after_a_week(self, db):
        for days in (0, 6, 8):
            at = timezone.now() - timedelta(days=days)
            DenialRecord.objects.create(request_id=f"number-{days}", at=at, code="bad_request", status=400)
        assert forget_denials() == 1
        assert {record.request_id for record in DenialRecord.objects.all()} == {"number-0", "number-6"}

    def test_with_their_user(self, alice, bob):
        for user in (alice, bob):
            DenialRecord.objects.create(
                request_id="number-0", at=timezone.now(), code=DEVICE_CONFLICT.code, status=409, user=user
            )
        alice.deleted_at = timezone.now()
        alice.save(update_fields=["deleted_at"])
        forget_deleted_users()
        assert DenialRecord.objects.get().user == bob
