"""A debt freezes all tokens of its user until it is paid."""

from decimal import Decimal

import pytest
from rest_framework.test import APIClient

from access import selectors, services, token_secret
from access.errors import TokenNotActive
from access.models import Revocation
from access.tests.support.concurrency import at_once
from access.tests.support.tokens import Buy
from accounts.models import User
from billing import debts, ledger, verification
from conftest import client_of, fund

TOKENS = "/api/v1/tokens"


def owe(user: User, amount: int = 10) -> None:
    debts.take_back(user, Decimal(amount), "Money went back")


def notices() -> list[tuple[str, User | None]]:
    return [(row.cause, row.user) for row in Revocation.objects.order_by("id")]


def test_every_token_is_frozen_and_unfrozen_with_the_debt(alice: User, bob: User, buy: Buy) -> None:
    # case A12
    tokens, of_bob = [buy(alice), buy(alice)], buy(bob)
    owe(alice)
    assert [selectors.grant_facts(token.digest).frozen for token in tokens] == [True, True]
    assert not selectors.grant_facts(of_bob.digest).frozen
    fund(alice, "9.99")
    assert selectors.grant_facts(tokens[0].digest).frozen
    fund(alice, "0.01")
    assert not selectors.grant_facts(tokens[0].digest).frozen
    assert notices() == [("frozen", alice), ("changed", alice)]


def test_the_token_is_shown_as_frozen_to_everyone(
    alice: User, alice_api: APIClient, olga_api: APIClient, buy: Buy
) -> None:
    token = buy(alice)
    owe(alice)
    response = alice_api.post(f"{TOKENS}/validate", {"token": token_secret.decrypt(token.ciphertext)})
    assert response.json() == {"valid": False, "reason": "Token frozen"}
    for client, url in ((alice_api, f"{TOKENS}/my-tokens"), (olga_api, "/api/v1/admin/tokens")):
        assert [item["is_active"] for item in client.get(url).json()["items"]] == [False]
        assert client.get(f"{url}?active_only=true").json()["total"] == 0


@pytest.mark.usefixtures("tariffs")
def test_nothing_is_bought_in_debt(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    owe(alice)
    for url in (f"{TOKENS}/purchase", f"{TOKENS}/{token.pk}/extend"):
        response = alice_api.post(url, {"duration_hours": 1})
        assert (response.status_code, response.json()["code"]) == (402, "insufficient_balance")


def test_a_revocation_pays_the_debt_first(alice: User, alice_api: APIClient, buy: Buy) -> None:
    # case A12: no way around the debt
    token = buy(alice)
    owe(alice, 10)
    assert alice_api.get(f"{TOKENS}/{token.pk}/refund-quote").json()["refund_amount"] == 18.0
    response = alice_api.delete(f"{TOKENS}/{token.pk}")
    assert response.json() == {"revoked": True, "refund_amount": 18.0, "new_balance": 8.0}
    assert ledger.balance_and_debt(alice) == (8, 0)

    other = buy(alice)
    owe(alice, 100)
    assert alice_api.delete(f"{TOKENS}/{other.pk}").json()["new_balance"] == 0.0
    assert ledger.balance_and_debt(alice) == (0, 74)


def test_what_an_operator_has_frozen_stays_frozen(alice: User, olga: User, buy: Buy) -> None:
    token = buy(alice)
    owe(alice)
    services.freeze(token.pk, actor=olga, reason="a stolen card")
    fund(alice, 10)
    assert selectors.grant_facts(token.digest).frozen
    owe(alice)
    services.unfreeze(token.pk, actor=olga, reason="settled")
    assert selectors.grant_facts(token.digest).frozen  # by the debt
    with pytest.raises(TokenNotActive):
        services.unfreeze(token.pk, actor=olga, reason="again")


@pytest.mark.django_db(transaction=True)
def test_a_revocation_a_purchase_and_a_refund_by_the_provider_at_once(alice: User, buy: Buy) -> None:
    # cases A10, A12: no deadlock
    tokens = [buy(alice) for _ in range(3)]
    fund(alice, 1)
    clients = [client_of(alice) for _ in range(4)]
    responses = at_once(
        *(
            lambda api=api, token=token: api.delete(f"{TOKENS}/{token.pk}")
            for api, token in zip(clients, tokens, strict=False)
        ),
        lambda: clients[3].post(f"{TOKENS}/purchase", {"duration_hours": 1}),
        lambda: owe(alice, 40),
        lambda: owe(alice, 40),
    )
    assert [response.status_code for response in responses[:3]] == [200] * 3
    bought = 1 if responses[3].status_code == 200 else 0
    assert ledger.balance_and_debt(alice) == (0, 80 - 55 + bought)
    assert verification.verify() == []
