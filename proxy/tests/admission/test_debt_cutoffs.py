"""A refund by the provider cuts off the user's connections; a top-up that pays the debt admits the user again."""

import time

import pytest
from websockets.exceptions import ConnectionClosed

from billing import ledger
from billing.models import SystemAccount, TransactionType
from billing.providers import mock
from billing.tests.support.mock_provider import at_provider, paid, send
from conftest import fund
from proxy.tests.support.cutoffs import assert_aborted, within_two_seconds
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import open_socket, read_close

DENIED = {"code": "token_frozen", "detail": "This access token is frozen. Contact support."}


@pytest.fixture
def spent(alice):
    """Return a payment of 25.50 ZNC that the user has spent."""
    payment = paid(alice)
    price = -ledger.balance(alice)
    ledger.move(alice, price, SystemAccount.REVENUE, TransactionType.PURCHASE, "test")
    return payment


def refund(payment):
    """Refund the payment at the provider and send the webhook."""
    at_provider(payment, refunded=payment.provider_amount)
    assert send(mock.event_body(payment.pk, "payment.refunded")).status_code == 200


# cases A12, D60
def test_streams_end_and_traffic_is_denied_until_the_debt_is_paid(gateway, alice, spent, alice_token, bob_token):
    client = gateway.client(alice_token)
    with (
        client.stream("GET", "/events?interval=0.1") as events,
        gateway.client(bob_token).stream("GET", "/events?interval=0.1") as of_bob,
    ):
        stream, others = events.iter_raw(), of_bob.iter_raw()
        next(stream)
        next(others)
        with within_two_seconds():
            refund(spent)
            assert_aborted(stream)
        assert next(others)
    response = client.get("/api/info")
    assert (response.status_code, response.json()) == (403, DENIED)
    assert response.headers["X-Zenzefi-Error"] == "token_frozen"

    fund(alice, "25.49")
    time.sleep(1.2)  # longer than the interval between polls of the outbox
    assert client.get("/api/info").status_code == 403
    fund(alice, "0.01")
    eventually(lambda: client.get("/api/info").status_code == 200)


# cases A12, D60
def test_websockets_end_and_are_denied_until_the_debt_is_paid(gateway, socket_upstream, alice, spent, alice_token):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send("before")
        assert client.recv(timeout=5) == "before"
        with within_two_seconds():
            refund(spent)
            assert read_close(client, 2) == (4403, "token_frozen")
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client, 2) == (4403, "token_frozen")

    fund(alice, "25.50")

    def is_admitted():
        with open_socket(gateway, "/ws", alice_token) as client:
            try:
                client.send("after")
                return client.recv(timeout=5) == "after"
            except ConnectionClosed:
                return False

    eventually(is_admitted)
