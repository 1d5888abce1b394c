"""The top-up page: the amount, the provider, and the way back."""

import html
import re
import uuid
from decimal import Decimal

import pytest

from billing import topups
from billing.errors import IdempotencyInProgress
from billing.models import Payment
from billing.tests.support import provider_outages
from billing.tests.support.mock_provider import send, set_status

URL = "/topup"
CHOICE = "/tokens/buy?scope=full&duration_hours=168"


@pytest.fixture(autouse=True)
def _alice_is_signed_in(client, alice):
    client.force_login(alice)


def order(client, url=URL, **changes):
    return client.post(url, {"key": str(uuid.uuid4()), "amount": "25.50", "provider": "mock", **changes})


def text(response):
    return html.unescape(response.content.decode())


def test_it_leads_to_the_providers_page(client, alice):
    response = order(client)
    payment = Payment.objects.get(user=alice)
    assert (response.status_code, response["Location"]) == (302, payment.payment_url)
    assert (payment.amount, payment.status) == (Decimal("25.50"), "pending")


def test_the_same_form_twice_is_one_payment(client):
    key = str(uuid.uuid4())
    first, second = order(client, key=key), order(client, key=key)
    assert first["Location"] == second["Location"]
    assert Payment.objects.count() == 1
    assert order(client, key=key, amount="26").status_code == 400  # another body under the same key
    assert Payment.objects.count() == 1


def test_an_old_form_with_another_amount_can_be_sent_once_more(client):
    key = str(uuid.uuid4())
    order(client, key=key)
    rejected = order(client, key=key, amount="26")
    assert "You have already sent this form" in text(rejected)
    fresh = re.search(r'name="key" value="([^"]+)"', text(rejected))[1]
    assert order(client, key=fresh, amount="26").status_code == 302
    assert sorted(payment.amount for payment in Payment.objects.all()) == [Decimal("25.50"), Decimal(26)]


def test_a_second_click_gets_words_for_people(client, monkeypatch):
    def running(*_args, **_options):
        raise IdempotencyInProgress

    monkeypatch.setattr(topups, "create_payment", running)
    page = text(order(client))
    assert "Your first click is still being processed." in page
    assert "Idempotency-Key" not in page


@pytest.mark.parametrize("amount", ["", "0", "-1", "0.001", "1e9", "NaN", "Infinity", "ten", "100000.01"])
def test_a_wrong_amount_is_named_and_kept(client, amount):
    # case A14
    response = order(client, amount=amount)
    assert response.status_code == 400
    assert response.context["form"].errors.keys() == {"amount"}
    assert f'value="{amount}"' in text(response) or not amount
    assert not Payment.objects.exists()


@pytest.mark.parametrize(
    ("typed", "amount"), [("10,5", "10.50"), ("1 000", "1000.00"), ("1\u00a0000,50", "1000.50"), (" 7 ", "7.00")]
)
def test_an_amount_as_people_write_it(client, typed, amount):
    assert order(client, amount=typed).status_code == 302
    assert Payment.objects.get().amount == Decimal(amount)


@pytest.mark.parametrize("typed", ["1,000", "1.000,50", "1,2,3"])
def test_an_amount_that_may_mean_two_things_is_rejected(client, typed):
    assert order(client, amount=typed).context["form"].errors.keys() == {"amount"}


def test_the_limits_are_said_in_credits(client):
    assert "The smallest amount is 0.01 ZNC." in text(order(client, amount="0"))
    assert "The largest amount is 100000.00 ZNC." in text(order(client, amount="100001"))


def test_a_provider_that_is_not_offered(client):
    assert order(client, provider="stripe").context["form"].errors.keys() == {"provider"}
    assert not Payment.objects.exists()


def test_a_changed_key_is_rejected(client):
    assert order(client, key="x").status_code == 400
    assert not Payment.objects.exists()


def test_the_provider_is_down(client, monkeypatch):
    provider_outages.take_down(monkeypatch)
    response = order(client)
    assert response.status_code == 400
    assert "is not responding. You have not been charged." in text(response)


def test_nothing_is_offered(client, settings):
    settings.PAYMENT_PROVIDERS = []
    assert "Top-ups are not available right now" in text(client.get(URL))


def test_the_choice_of_a_provider_if_there_are_two(client, settings):
    settings.PAYMENT_PROVIDERS = ["mock", "stripe"]
    assert (
        len(re.findall(r'type="radio"[^>]*name="provider"|name="provider"[^>]*type="radio"', text(client.get(URL))))
        == 2
    )


@pytest.mark.parametrize(("wanted", "filled"), [("82", "82.00"), ("0.1", "0.10")])
def test_what_is_missing_is_filled_in(client, wanted, filled):
    assert f'value="{filled}"' in text(client.get(f"{URL}?amount={wanted}"))


@pytest.mark.parametrize("wanted", ["", "x", "NaN", "-5", "1e400", "0"])
def test_nonsense_fills_nothing_in(client, wanted):
    response = client.get(f"{URL}?amount={wanted}")
    assert response.status_code == 200
    assert response.context["form"]["amount"].value() is None


def test_the_price_in_the_providers_currency(client, settings):
    settings.ZNC_PRICE, settings.PAYMENT_CURRENCY = Decimal("95.5"), "RUB"
    assert "955.00 RUB" in text(client.get(URL))


class TestTheWayBack:
    def test_is_offered_once_the_payment_is_through(self, client, alice):
        url = f"{URL}?next={CHOICE.replace('&', '%26')}"
        assert f'href="{CHOICE}"' in text(client.get(url))
        order(client, url)
        payment = Payment.objects.get(user=alice)
        assert CHOICE not in text(client.get(f"/billing/return/{payment.pk}"))
        send(set_status(payment, "succeeded"))
        assert f'href="{CHOICE}"' in text(client.get(f"/billing/return/{payment.pk}"))

    def test_goes_with_another_try(self, client, alice):
        order(client, f"{URL}?next=/connect")
        payment = Payment.objects.get(user=alice)
        send(set_status(payment, "failed"))
        assert f'href="{URL}?amount=25.50&next=%2Fconnect"' in text(client.get(f"/billing/return/{payment.pk}"))

    @pytest.mark.parametrize(
        "elsewhere",
        [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
            "\\\\evil.example",
            "x",
        ],
    )
    def test_never_leads_elsewhere(self, client, alice, elsewhere):
        url = f"{URL}?next={elsewhere}"
        assert "Back to your choice" not in text(client.get(url))
        order(client, url)
        payment = Payment.objects.get(user=alice)
        send(set_status(payment, "succeeded"))
        response = text(client.get(f"/billing/return/{payment.pk}"))
        assert "Back to your choice" not in response
        assert "evil" not in response

    def test_of_the_last_few_payments_is_kept(self, client, alice):
        for _number in range(7):
            order(client, f"{URL}?next=/connect")
        assert len(client.session["billing_ways_back"]) == 5


def test_it_needs_a_login(client):
    client.logout()
    assert client.get(URL)["Location"] == "/accounts/login/?next=/topup"
