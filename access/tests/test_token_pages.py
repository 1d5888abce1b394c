"""The pages of a token: they work for its owner and do not exist for other users."""

import html
import uuid
from datetime import timedelta
from decimal import Decimal

import pytest

from access import token_secret
from access.models import AccessToken, Tariff
from access.selectors import TokenState, device_resets_left, state
from access.services import freeze, reset_device, revoke_by_force
from access.tests.support.tokens import age, causes
from accounts.tests.factories import PASSWORD
from billing import ledger
from billing.debts import take_back
from conftest import fund

ACTS = ["reveal", "extend", "revoke", "reset-device", "refund-quote"]


@pytest.fixture
def token(alice, buy, client):
    client.force_login(alice)
    return buy(alice)


def url(token, what=""):
    return f"/tokens/{token.pk}{what and '/' + what}"


def text(response):
    return html.unescape(response.content.decode())


def key(**fields):
    return {"key": str(uuid.uuid4()), **fields}


class TestTheList:
    def test_live_tokens_and_ended_ones(self, client, alice, bob, buy, token):
        ended, foreign = buy(alice, 1), buy(bob)
        age(ended, timedelta(hours=2))
        page = client.get("/tokens")
        assert page.context["live"] == [token]
        assert list(page.context["ended"].object_list) == [ended]
        assert str(foreign.pk) not in text(page)
        assert token_secret.decrypt(token.ciphertext) not in text(page)

    def test_a_debt_freezes_all_of_them(self, client, alice, token):
        take_back(alice, Decimal(5), "Money went back")
        assert "frozen" in text(client.get("/tokens"))

    def test_the_state_in_russian(self, client, olga, token):
        revoke_by_force(token.pk, actor=olga, reason="test")
        page = text(client.get("/tokens", headers={"Accept-Language": "ru"}))
        assert "отозван" in page
        assert "дата отзыва" not in page

    def test_none_yet(self, client, bob):
        client.force_login(bob)
        assert "No tokens yet" in text(client.get("/tokens"))

    def test_the_ended_ones_by_pages(self, client, alice, token):
        AccessToken.objects.bulk_create(
            AccessToken(
                user=alice,
                digest=f"{number:064}",
                ciphertext=b"",
                scope="full",
                duration_hours=1,
                cost=1,
                created_at=token.created_at - timedelta(days=2, hours=number),
                expires_at=token.created_at - timedelta(days=1, hours=number),
            )
            for number in range(21)
        )
        assert len(client.get("/tokens?page=2").context["ended"].object_list) == 1


class TestReveal:
    def test_the_password_shows_it_in_that_response_only(self, client, token):
        secret = token_secret.decrypt(token.ciphertext)
        assert secret not in text(client.get(url(token, "reveal")))
        response = client.post(url(token, "reveal"), {"password": PASSWORD})
        assert secret in text(response)
        assert "no-store" in response["Cache-Control"]
        assert secret not in text(client.get(url(token, "reveal")))

    def test_a_wrong_password(self, client, token):
        response = client.post(url(token, "reveal"), {"password": "wrong"})
        assert "The password is wrong." in text(response)
        assert token_secret.decrypt(token.ciphertext) not in text(response)

    def test_guesses_count_as_failed_logins(self, client, settings, token):
        # case E61
        settings.RATE_LIMIT_AUTH = "5/hour"
        for _number in range(5):
            assert client.post(url(token, "reveal"), {"password": "wrong"}).status_code == 200
        response = client.post(url(token, "reveal"), {"password": PASSWORD})
        assert response.status_code == 429
        assert int(response["Retry-After"]) > 0
        assert token_secret.decrypt(token.ciphertext) not in text(response)

    def test_one_whose_key_is_gone(self, client, token):
        AccessToken.objects.update(ciphertext=b"gone")
        assert "can no longer be shown" in text(client.post(url(token, "reveal"), {"password": PASSWORD}))


class TestExtend:
    def test_price_new_end_and_what_remains(self, client, alice, token):
        fund(alice, 50)
        offer = client.get(url(token, "extend") + "?duration_hours=12").context["chosen"]
        assert (offer.ends, offer.left) == (token.expires_at + timedelta(hours=12), Decimal(40))

    def test_it_is_extended_once(self, client, alice, token):
        fund(alice, 50)
        form = key(duration_hours="12")
        for _again in range(2):
            response = client.post(url(token, "extend"), form, follow=True)
        assert "The token was extended." in text(response)
        ends = token.expires_at
        token.refresh_from_db()
        assert (token.expires_at - ends, ledger.balance(alice)) == (timedelta(hours=12), Decimal(40))

    def test_too_few_credits(self, client, alice, token):
        response = client.post(url(token, "extend"), key(duration_hours="12"))
        assert response.status_code == 402
        back = f"%2Ftokens%2F{token.pk}%2Fextend%3Fduration_hours%3D12"
        assert f'href="/topup?amount=10.00&next={back}"' in text(response)

    @pytest.mark.parametrize("hours", ["", "5", "x"])
    def test_what_is_not_on_sale(self, client, alice, token, hours):
        fund(alice, 50)
        response = client.post(url(token, "extend"), key(duration_hours=hours), follow=True)
        assert "Choose a duration." in text(response) or "There is no tariff" in text(response)
        assert ledger.balance(alice) == Decimal(50)

    def test_only_of_the_tokens_scope(self, client, token):
        Tariff.objects.filter(scope="full").delete()
        assert "Nothing is on sale right now" in text(client.get(url(token, "extend")))

    def test_an_ended_one(self, client, token):
        age(token, timedelta(hours=25))
        response = client.get(url(token, "extend"), follow=True)
        assert "Only an active token can be extended." in text(response)


class TestRevoke:
    def test_shows_the_refund_and_does_nothing_yet(self, client, token):
        age(token, timedelta(hours=6), used_for=timedelta(hours=6))
        page = text(client.get(url(token, "revoke")))
        assert "You get back 13.50\u00a0ZNC of the 18.00\u00a0ZNC you paid, for 17\u00a0h 59\u00a0min" in page
        assert f'hx-get="/tokens/{token.pk}/refund-quote"' in page
        assert state(token) == TokenState.ACTIVE

    def test_the_part_that_ticks(self, client, token):
        part = text(client.get(url(token, "refund-quote")))
        assert part.lstrip().startswith("<span")
        assert "18.00\u00a0ZNC of the 18.00\u00a0ZNC" in part
        age(token, timedelta(hours=25))
        assert "hx-get" not in text(client.get(url(token, "refund-quote")))

    def test_once(self, client, alice, token):
        # case A10
        form = key()
        for _again in range(2):
            response = client.post(url(token, "revoke"), form, follow=True)
        assert "You got back 18.00 ZNC. Your balance is 18.00 ZNC." in text(response)
        assert (ledger.balance(alice), causes(token)) == (Decimal(18), ["revoked"])
        assert "This access token is not active" in text(client.post(url(token, "revoke"), key(), follow=True))

    def test_an_ended_one(self, client, olga, token):
        revoke_by_force(token.pk, actor=olga, reason="test")
        assert "This access token is not active" in text(client.get(url(token, "revoke"), follow=True))

    def test_one_in_debt_pays_it(self, client, alice, token):
        take_back(alice, Decimal(5), "Money went back")
        client.post(url(token, "revoke"), key())
        assert ledger.balance_and_debt(alice) == (Decimal(13), Decimal(0))


class TestResetDevice:
    def test_says_what_will_happen_and_does_it(self, client, token):
        page = text(client.get(url(token, "reset-device")))
        assert "You can do this 3 more times within 24 hours." in page
        assert causes(token) == []
        response = client.post(url(token, "reset-device"), follow=True)
        assert "The device was reset." in text(response)
        assert causes(token) == ["device_reset"]

    def test_too_often(self, client, alice, token):
        for _number in range(3):
            reset_device(alice, token.pk)
        response = client.post(url(token, "reset-device"), follow=True)
        assert "was reset too often" in text(response)
        assert device_resets_left(token, token.created_at) == 0
        assert len(causes(token)) == 3


class TestTheState:
    def test_a_final_state_takes_precedence(self, alice, olga, token):
        assert state(token) == TokenState.ACTIVE
        take_back(alice, Decimal(5), "Money went back")
        token.user.wallet.refresh_from_db()
        assert state(token) == TokenState.IN_DEBT
        freeze(token.pk, actor=olga, reason="test")
        token.refresh_from_db()
        assert state(token) == TokenState.FROZEN
        age(token, timedelta(hours=25))
        assert state(token) == TokenState.EXPIRED
        revoke_by_force(token.pk, actor=olga, reason="test")
        token.refresh_from_db()
        assert state(token) == TokenState.REVOKED


@pytest.mark.parametrize("what", ["", *ACTS, "live", "bought"])
def test_a_token_of_another_user_is_not_found(client, bob, token, what):
    client.force_login(bob)
    assert client.get(url(token, what)).status_code == 404
    assert client.post(url(token, what), key(password=PASSWORD)).status_code in (404, 405)
    assert causes(token) == []


@pytest.mark.parametrize("what", ["", "reveal", "extend", "revoke", "reset-device", "bought"])
def test_they_need_a_login(client, token, what):
    client.logout()
    assert client.get(url(token, what))["Location"] == f"/accounts/login/?next={url(token, what)}"


@pytest.mark.parametrize("what", ["refund-quote", "live"])
def test_a_partial_never_redirects_to_the_login(client, token, what):
    client.logout()
    assert client.get(url(token, what)).status_code == 401


def test_a_post_to_what_is_only_looked_at(client, token):
    assert client.post(url(token, "refund-quote")).status_code == 405
