"""A token is activated by its first admitted request, before that request is forwarded."""

import asyncio
import threading

from django.db import connections
from django.utils import timezone
from rest_framework.test import APIClient

from access import selectors
from access.models import AccessToken
from proxy.tests.support.servers import OK, eventually


def test_it_is_committed_before_the_upstream_sees_the_request(gateway, recorded, alice_token):
    committed = []

    def read_committed():
        """Read the token in another thread and on another connection, which see committed data only."""
        try:
            committed.append(alice_token.stored())
        finally:
            connections.close_all()

    async def read_first(_request, connection):
        await asyncio.to_thread(read_committed)
        await connection.send(OK)
        return True

    recorded.response = read_first
    before = timezone.now()
    assert gateway.client(alice_token).get("/x").status_code == 200
    assert before <= committed[0].activated_at <= timezone.now()


def test_it_is_activated_once(gateway, recorded, alice_token):
    client = gateway.client(alice_token)
    client.get("/x")
    first = alice_token.stored().activated_at
    client.get("/x")
    gateway.restart()
    client.get("/x")
    assert alice_token.stored().activated_at == first
    assert len(recorded.requests) == 3


def test_simultaneous_requests_activate_it_once(gateway, recorded, alice_token):
    threads = [threading.Thread(target=gateway.client(alice_token).get, args=["/x"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(recorded.requests) == 8
    assert alice_token.stored().activated_at is not None


def test_denied_requests_do_not_activate_it(gateway, recorded, alice, alice_token, sold_token):
    narrow = sold_token(alice, scope="certificates_only")
    gateway.client(narrow).get("/x")
    gateway.client(alice_token.on("short")).get("/x")
    gateway.client(alice_token).request("TRACE", "/x")
    assert recorded.requests == []
    assert [token.stored().activated_at for token in (narrow, alice_token)] == [None, None]


def test_status_session_and_validate_do_not_activate_it(gateway, recorded, alice_token):
    client = gateway.client(alice_token)
    assert client.get("/status").json()["connected"] is False
    assert client.head("/status").status_code == 200
    assert client.post("/session").status_code == 200
    response = APIClient().post("/api/v1/tokens/validate", {"token": alice_token.text})
    assert response.json()["valid"] is True
    assert alice_token.stored().activated_at is None
    assert recorded.requests == []


# case G74
def test_a_token_revoked_in_the_meantime_is_not_activated(gateway, recorded, alice_token):
    """Let the conditional UPDATE decide if the grant is cached and the revocation has not arrived yet."""
    client = gateway.client(alice_token)
    assert client.get("/status").status_code == 200
    AccessToken.objects.filter(pk=alice_token.token.pk).update(revoked_at=timezone.now())
    response = client.get("/x")
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")
    assert recorded.requests == []
    assert alice_token.stored().activated_at is None


def test_an_unused_token_is_refunded_in_full(gateway, alice_token):
    gateway.client(alice_token).get("/status")
    assert selectors.refund_quote(alice_token.stored(), timezone.now()).amount == alice_token.token.cost
    gateway.client(alice_token).get("/echo")
    eventually(lambda: selectors.refund_quote(alice_token.stored(), timezone.now()).unused.total_seconds() < 3600)


def test_the_steady_state_needs_no_database_calls(gateway, recorded, alice_token, monkeypatch):
    client = gateway.client(alice_token)
    client.get("/x")
    calls = []
    run = gateway.plane.database.run

    async def counted(function, *args):
        calls.append(function.__name__)
        return await run(function, *args)

    monkeypatch.setattr(gateway.plane.database, "run", counted)
    for _ in range(50):
        assert client.get("/x").status_code == 200
    assert set(calls) <= {"revocations_since", "write_sessions"}
