"""The page that sells tokens: the choice, the purchase, and a balance that is too low."""

import html
import uuid
from decimal import Decimal

import pytest
from django.utils import timezone

from access.models import AccessToken, Scope, Tariff
from access.offers import offers
from access.web import recent_purchases
from billing import ledger
from billing.debts import take_back
from conftest import fund

URL = "/tokens/buy"


@pytest.fixture(autouse=True)
def _alice_is_signed_in(client, alice):
    client.force_login(alice)


def order(client, **changes):
    given = {"key": str(uuid.uuid4()), "scope": "full", "duration_hours": "24", **changes}
    return client.post(URL, given)


def text(response):
    return html.unescape(response.content.decode())


class TestTheChoice:
    def test_durations_with_price_price_per_hour_and_saving(self, client, alice):
        fund(alice, 50)
        page = text(client.get(URL))
        for words in ("30 days", "300.00\u00a0ZNC", "0.42\u00a0ZNC per hour", "save 58 %"):
            assert words in page
        assert "leaves you 32.00\u00a0ZNC" in page  # after a day
        assert "250.00\u00a0ZNC missing" in page  # for a month
        assert "Opens the whole server" in page
        assert "Opens the certificate store" in page

    @pytest.mark.parametrize(
        ("query", "scope", "hours"),
        [
            ("", "full", 24),
            ("?scope=certificates_only&duration_hours=168", "certificates_only", 168),
            ("?scope=everything&duration_hours=x", "full", 24),
            ("?duration_hours=5", "full", 1),
            ("?duration_hours=99999999999999999999", "full", 24),
        ],
    )
    def test_a_link_chooses_at_first(self, client, query, scope, hours):
        choice = client.get(URL + query).context
        assert (choice["scope"], choice["chosen"].tariff.duration_hours) == (scope, hours)

    def test_nothing_is_on_sale(self, client):
        Tariff.objects.all().delete()
        assert "Nothing is on sale right now" in text(client.get(URL))

    def test_one_scope_alone_is_on_sale(self, client):
        Tariff.objects.filter(scope=Scope.FULL).delete()
        choice = client.get(URL).context
        assert (choice["scopes"], choice["chosen"].tariff.duration_hours) == ([Scope.CERTIFICATES_ONLY], 24)


class TestThePurchase:
    def test_leads_to_the_token_in_full(self, client, alice):
        fund(alice, 50)
        response = order(client)
        token = AccessToken.objects.get(user=alice)
        assert response["Location"] == f"/tokens/{token.pk}/bought"
        assert (token.duration_hours, token.scope, ledger.balance(alice)) == (24, "full", Decimal(32))

    def test_the_same_form_twice_buys_once(self, client, alice):
        # case A6
        fund(alice, 50)
        key = str(uuid.uuid4())
        assert order(client, key=key)["Location"] == order(client, key=key)["Location"]
        assert (AccessToken.objects.count(), ledger.balance(alice)) == (1, Decimal(32))

    def test_an_old_form_with_another_choice_buys_nothing(self, client, alice):
        # case A7
        fund(alice, 50)
        key = str(uuid.uuid4())
        order(client, key=key)
        response = client.post(URL, {"key": key, "scope": "full", "duration_hours": "1"}, follow=True)
        assert response.redirect_chain == [("/tokens", 302)]
        assert "Your previous purchase succeeded" in text(response)
        assert (AccessToken.objects.count(), ledger.balance(alice)) == (1, Decimal(32))

    @pytest.mark.parametrize("changes", [{"duration_hours": "5"}, {"duration_hours": ""}, {"scope": "everything"}])
    def test_what_is_not_on_sale(self, client, alice, changes):
        fund(alice, 50)
        assert order(client, **changes).status_code == 400
        assert ledger.balance(alice) == Decimal(50)

    def test_a_changed_key_is_rejected(self, client, alice):
        fund(alice, 50)
        assert order(client, key="1").status_code == 400
        assert not AccessToken.objects.exists()

    def test_needs_the_forms_token(self, alice):
        from django.test import Client

        browser = Client(enforce_csrf_checks=True)
        browser.force_login(alice)
        fund(alice, 50)
        assert order(browser).status_code == 403
        assert not AccessToken.objects.exists()


class TestTooFewCredits:
    def test_the_missing_amount_and_the_way_back_are_filled_in(self, client, alice):
        fund(alice, "10.50")
        response = order(client, scope="certificates_only")
        assert response.status_code == 402
        page = text(response)
        assert "you need 7.50\u00a0ZNC more for 1 day. Nothing was charged." in page
        back = "%2Ftokens%2Fbuy%3Fscope%3Dcertificates_only%26duration_hours%3D24"
        assert f'href="/topup?amount=7.50&next={back}"' in page
        assert (ledger.balance(alice), AccessToken.objects.count()) == (Decimal("10.50"), 0)
        topup = client.get(f"/topup?amount=7.50&next={back}")
        assert 'href="/tokens/buy?scope=certificates_only&duration_hours=24"' in text(topup)

    def test_a_debt_is_topped_up_too(self, client, alice):
        take_back(alice, Decimal(5), "Money went back")
        assert 'href="/topup?amount=23.00' in text(order(client))


def test_the_text_is_shown_for_ten_minutes_and_in_this_session(rf, client, alice):
    fund(alice, 50)
    order(client)
    token, request = AccessToken.objects.get(), rf.get("/")
    request.session = client.session
    assert recent_purchases.includes(request, token)
    request.session = {recent_purchases._SESSION_KEY: {str(token.pk): timezone.now().timestamp() - 601}}
    assert not recent_purchases.includes(request, token)
    recent_purchases.remember(request, AccessToken())
    assert str(token.pk) not in request.session[recent_purchases._SESSION_KEY]
    request.session = {}
    assert not recent_purchases.includes(request, token)


def test_savings_are_of_the_dearest_hour_and_never_rounded_up():
    sold = [Tariff(duration_hours=3, price=Decimal("2.00")), Tariff(duration_hours=1, price=Decimal("1.00"))]
    first, second = offers(sold, Decimal("1.50"), Decimal("0.25"))
    assert (first.saving, first.left, first.missing) == (0, Decimal("0.50"), Decimal(0))
    assert (second.saving, second.left, second.missing, second.top_up) == (33, 0, Decimal("0.50"), Decimal("0.75"))


def test_it_needs_a_login(client):
    client.logout()
    assert client.get(URL)["Location"] == "/accounts/login/?next=/tokens/buy"
