"""`Idempotency-Key`: a repeated call acts once."""

import threading
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from billing import idempotency, ledger
from billing.errors import IdempotencyInProgress, InsufficientBalance
from billing.idempotency import Call, once
from billing.models import IdempotencyKey, Payment, Transaction
from billing.tasks import forget_idempotency_keys
from billing.tests.support.parallel import in_parallel
from conftest import client_of

URL = "/api/v1/currency/mock-purchase"


def top_up(client, amount, key):
    return client.post(URL, {"amount": amount}, headers={"Idempotency-Key": key})


def test_a_repeated_call_gets_the_same_response_and_moves_nothing(alice, alice_api):
    first = top_up(alice_api, 10, "k")
    top_up(alice_api, 5, "another")
    second = top_up(alice_api, 10, "k")

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content
    assert first.json()["new_balance"] == 10.0
    assert ledger.balance(alice) == 15


def test_a_repeated_payment_response_as_at_first_although_it_was_paid(alice, alice_api):
    first = alice_api.post("/api/v1/currency/purchase", {"amount": 7.5}, headers={"Idempotency-Key": "k"})
    Payment.objects.update(status="cancelled")
    second = alice_api.post("/api/v1/currency/purchase", {"amount": 7.5}, headers={"Idempotency-Key": "k"})

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert Payment.objects.count() == 1


def test_another_body_with_the_same_key_is_a_conflict(alice, alice_api):
    # case A7
    top_up(alice_api, 10, "k")
    rejected = top_up(alice_api, 11, "k")

    assert rejected.status_code == 409
    assert rejected.json() == {
        "detail": "This Idempotency-Key was used with another request. Use a new key for a new request.",
        "code": "idempotency_conflict",
    }
    assert ledger.balance(alice) == 10


@pytest.mark.parametrize(("amount", "again"), [("18", "18.00"), ("18.00", "18.0"), ("7.5", "7.50"), ("1e1", "10")])
def test_an_amount_is_the_same_however_it_is_written(alice, alice_api, amount, again):
    for text in (amount, again):
        response = alice_api.post(
            URL, f'{{"amount": {text}}}', content_type="application/json", headers={"Idempotency-Key": "k"}
        )
        assert response.status_code == 200
    assert Transaction.objects.count() == 1


@pytest.mark.parametrize("number", ["1e999999999", "-1e-999999999", "1e18", "1e19", "0e5", "1." + "0" * 60 + "1"])
def test_any_other_number_in_the_body_is_no_obstacle(alice, alice_api, number):
    body = f'{{"amount": 1, "other": {number}}}'
    for _attempt in range(2):
        response = alice_api.post(URL, body, content_type="application/json", headers={"Idempotency-Key": "k"})
        assert response.status_code == 200
    assert ledger.balance(alice) == 1


def test_a_key_is_its_users_and_its_calls_own(alice, bob, alice_api, bob_api):
    top_up(alice_api, 10, "k")
    assert top_up(bob_api, 3, "k").status_code == 200
    assert alice_api.post(
        "/api/v1/currency/purchase", {"amount": 1}, headers={"Idempotency-Key": "k"}
    ).status_code == (201)
    assert (ledger.balance(alice), ledger.balance(bob)) == (10, 3)


@pytest.mark.parametrize("key", ["", "x" * 201, "two words", "ключ", "tab\tbed"])
def test_a_malformed_key_is_rejected(alice, alice_api, key):
    response = top_up(alice_api, 10, key)
    assert response.status_code == 400
    assert response.json() == {"Idempotency-Key": ["1 to 200 visible ASCII characters are expected."]}
    assert ledger.balance(alice) == 0


def test_the_longest_key_is_taken(alice, alice_api):
    assert top_up(alice_api, 10, "~" * 200).status_code == 200
    assert Transaction.objects.get().idempotency_key == "~" * 200


def test_a_failed_call_may_be_repeated_with_its_key(alice):
    call = Call(alice, "test", "k", {})

    def fail():
        raise InsufficientBalance(2, 1)

    with pytest.raises(InsufficientBalance):
        once(call, fail, lambda ids: "earlier")
    assert not IdempotencyKey.objects.exists()
    assert once(call, lambda: ("done", {"id": 1}), lambda ids: "earlier") == "done"
    assert once(call, fail, lambda ids: ids) == {"id": 1}


def test_what_fails_after_the_act_leaves_neither_act_nor_key(alice, alice_api, monkeypatch):
    def crash(**_kwargs):
        raise ConnectionError

    monkeypatch.setattr(IdempotencyKey.objects, "create", crash)
    with pytest.raises(ConnectionError):
        top_up(alice_api, 10, "k")
    monkeypatch.undo()
    assert ledger.balance(alice) == 0
    assert top_up(alice_api, 10, "k").status_code == 200
    assert ledger.balance(alice) == 10


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_charge_once(alice):
    # case A6
    client = client_of(alice)
    responses = in_parallel(20, lambda _number: top_up(client, 10, "k"))

    successes = {response.content for response in responses if response.status_code == 200}
    errors = {response.json()["code"] for response in responses if response.status_code != 200}
    assert len(successes) == 1
    assert {response.status_code for response in responses} <= {200, 409}
    assert errors <= {"idempotency_in_progress"}
    assert ledger.balance(alice) == 10
    assert Transaction.objects.count() == IdempotencyKey.objects.count() == 1


def _while_running(call, meanwhile):
    """Return the result of `meanwhile`, run in another thread during `call`."""
    running, result = threading.Event(), []

    def watch(_number):
        if _number == 0:
            running.wait(timeout=10)
            try:
                result.append(meanwhile())
            finally:
                done.set()
            return

        def act():
            running.set()
            done.wait(timeout=10)
            return "done", {}

        once(call, act, lambda ids: "earlier")

    done = threading.Event()
    in_parallel(2, watch)
    return result[0]


@pytest.mark.django_db(transaction=True)
def test_a_repetition_of_a_running_call_is_rejected(alice):
    client = client_of(alice)
    call = Call(alice, "currency.mock-purchase", "k", {"amount": 10})
    response = _while_running(call, lambda: top_up(client, 10, "k"))

    assert response.status_code == 409
    assert response.json() == {
        "detail": "A request with this Idempotency-Key is still running. Try again in a moment.",
        "code": "idempotency_in_progress",
    }
    assert ledger.balance(alice) == 0


@pytest.mark.django_db(transaction=True)
def test_a_repetition_of_a_running_call_is_rejected_in_another_process(alice, monkeypatch):
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite the other process waits for the write lock instead")
    call = Call(alice, "test", "k", {})

    def elsewhere():
        # Simulate another process, which does not share the set of running calls.
        monkeypatch.setattr(idempotency, "_in_this_process", set())
        with pytest.raises(IdempotencyInProgress):
            once(call, lambda: ("done", {}), lambda ids: "earlier")
        return "rejected"

    assert _while_running(call, elsewhere) == "rejected"


# case G84
def test_keys_are_kept_for_at_least_a_day_and_then_forgotten(alice, alice_api):
    top_up(alice_api, 10, "k")
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=False):
        assert forget_idempotency_keys() == 0
    with time_machine.travel(timezone.now() + timedelta(hours=49), tick=False):
        assert forget_idempotency_keys() == 1
    assert not IdempotencyKey.objects.exists()
    assert ledger.balance(alice) == 10


def test_the_schedule_names_the_task(settings):
    assert forget_idempotency_keys.name in {job["task"] for job in settings.CELERY_BEAT_SCHEDULE.values()}


def test_nothing_secret_is_kept_with_a_key(alice, alice_api):
    response = top_up(alice_api, 10, "k").json()
    assert IdempotencyKey.objects.get().result == {
        "transaction_id": response["transaction_id"],
        "balance": "10.00",
    }
