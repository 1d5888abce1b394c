"""Denials despite cached grants: a revocation takes effect within two seconds."""

import contextlib
import threading
import time

import pytest
from django.utils import timezone

from access.models import AccessToken, Revocation
from accounts.models import User
from accounts.services import set_active
from conftest import client_of
from proxy.dataplane.admission import grant_cache
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.servers import eventually

UNKNOWN = "u" * 64
DEVICE = "device-of-the-owner"


@pytest.fixture
def known(gateway, recorded, alice_token):
    """Return a client whose grant is cached."""
    client = gateway.client(alice_token)
    assert client.get("/x").status_code == 200
    assert gateway.plane.grants.get(alice_token.token.digest) is not None
    return client


def assert_denied_soon(client, code):
    """Assert that the client is denied with this code within two seconds."""
    eventually(lambda: client.get("/x").headers.get("X-Zenzefi-Error") == code, seconds=2)
    assert_denied(client.get("/x"), code)


def test_a_revocation_by_the_owner_through_the_api(alice, alice_token, known):
    assert client_of(alice).delete(f"/api/v1/tokens/{alice_token.token.pk}").status_code == 200
    assert_denied_soon(known, "invalid_token")


def test_a_revocation_by_an_operator_through_the_api(olga, alice_token, known):
    assert client_of(olga).delete(f"/api/v1/admin/tokens/{alice_token.token.pk}").status_code == 200
    assert_denied_soon(known, "invalid_token")


def test_a_block_of_the_user(alice, olga, known):
    set_active(alice, False, actor=olga)
    assert_denied_soon(known, "user_inactive")


def test_a_block_concerns_every_token_of_the_user(gateway, alice, olga, sold_token, bob_token, known):
    second = gateway.client(sold_token(alice))
    bob = gateway.client(bob_token)
    assert [second.get("/x").status_code, bob.get("/x").status_code] == [200, 200]
    set_active(alice, False, actor=olga)
    assert_denied_soon(known, "user_inactive")
    assert_denied_soon(second, "user_inactive")
    assert bob.get("/x").status_code == 200


def test_a_revocation_in_another_process(alice_token, known):
    """Write only the rows, as another process does, without sending a signal."""
    AccessToken.objects.filter(pk=alice_token.token.pk).update(revoked_at=timezone.now())
    Revocation.objects.create(cause=Revocation.Cause.REVOKED, token=alice_token.token)
    assert_denied_soon(known, "invalid_token")


def test_a_block_in_another_process(alice, known):
    User.objects.filter(pk=alice.pk).update(is_active=False)
    Revocation.objects.create(cause=Revocation.Cause.USER_BLOCKED, user=alice)
    assert_denied_soon(known, "user_inactive")


def test_a_rollback_revokes_nothing(alice_token, known):
    from django.db import transaction

    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        Revocation.objects.create(cause=Revocation.Cause.REVOKED, token=alice_token.token)
        raise ZeroDivisionError
    time.sleep(1.2)
    assert known.get("/x").status_code == 200


def test_the_expiry_of_a_cached_grant(gateway, alice_token, known):
    gateway.plane.grants.get(alice_token.token.digest).deadline = time.time() - 1
    assert_denied(known.get("/x"), "token_expired")


def test_a_burst_of_one_unknown_token_needs_one_database_read(gateway, recorded, monkeypatch):
    reads = []
    facts = grant_cache.grant_facts

    def counted(digest):
        reads.append(digest)
        time.sleep(0.1)
        return facts(digest)

    monkeypatch.setattr(grant_cache, "grant_facts", counted)
    responses = []

    def send():
        headers = {"X-Access-Token": UNKNOWN, "X-Device-ID": DEVICE}
        responses.append(gateway.client().get("/x", headers=headers))

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1
    for response in responses:
        assert_denied(response, "invalid_token")
