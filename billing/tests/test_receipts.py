"""Receipts: numbered per year without gaps, shown to their owner and to operators."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.tests.factories import UserFactory
from billing import receipts
from billing.models import Payment, ReceiptCounter
from billing.providers import mock
from billing.tests.support.mock_provider import at_provider, create_pending_payment, paid, send, set_status
from billing.tests.support.parallel import in_parallel

PAYMENTS = "/api/v1/currency/payments"


def numbers():
    return sorted(Payment.objects.filter(receipt_serial__isnull=False).values_list("receipt_year", "receipt_serial"))


def test_numbers_count_from_one_in_each_year(alice):
    for moment in (
        datetime(2026, 12, 31, 23, 58, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2027, 1, 1, 0, 0, 0, tzinfo=UTC),
    ):
        with time_machine.travel(moment, tick=False):
            paid(alice)
    assert numbers() == [(2026, 1), (2026, 2), (2027, 1)]
    assert Payment.objects.order_by("created_at").last().receipt_number == "2027-000001"


def test_a_credit_of_the_last_moment_of_a_year_is_of_that_year(alice, monkeypatch):
    """Use the year of the credit in the number, as the receipt shows the time of the credit."""
    eve, draw = datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), receipts.next_number
    with time_machine.travel(eve, tick=False) as clock:

        def a_moment_later(*credited_at):
            clock.shift(1)
            return draw(*credited_at)

        monkeypatch.setattr(receipts, "next_number", a_moment_later)
        payment = paid(alice)
    assert payment.transaction.created_at == eve
    assert payment.receipt_number == "2026-000001"


def test_only_a_credited_payment_has_one(alice, payment):
    send(set_status(payment, "failed"))
    assert Payment.objects.get().receipt_number == ""
    assert not ReceiptCounter.objects.exists()


def test_a_refund_keeps_the_number(alice):
    payment = paid(alice)
    at_provider(payment, refunded=payment.provider_amount)
    send(mock.event_body(payment.pk, "payment.refunded"))
    assert numbers() == [(payment.receipt_year, 1)]


@pytest.mark.django_db(transaction=True)
def test_credits_at_once_and_ones_that_fail_leave_no_gap(alice):
    """Let every third transaction crash after it has drawn its number."""

    def act(number):
        try:
            with transaction.atomic():
                _year, serial = receipts.next_number(timezone.now())
                crash_each_third(number)
                return serial
        except ConnectionError:
            return None

    def crash_each_third(number):
        if number % 3 == 0:
            raise ConnectionError

    drawn = [serial for serial in in_parallel(30, act, threads=10) if serial]
    assert sorted(drawn) == list(range(1, 21))
    assert ReceiptCounter.objects.get().last == 20


@pytest.mark.django_db(transaction=True)
def test_webhooks_at_once_number_their_payments_without_a_gap(alice):
    bodies = [set_status(create_pending_payment(alice), status) for status in ["succeeded", "failed"] * 6]
    assert in_parallel(12, lambda number: send(bodies[number]).status_code) == [200] * 12
    year = timezone.now().year
    assert numbers() == [(year, number) for number in range(1, 7)]


@pytest.fixture
def page(alice):
    """Return the path of a receipt of Alice's."""
    payment = paid(alice, "100", price="90")
    return f"/billing/receipt/{payment.pk}"


def seen_by(user, page):
    client = Client()
    if user:
        client.force_login(user)
    return client.get(page).status_code


def test_its_user_and_operators_may_see_it(alice, bob, olga, page):
    clerk, colleague = UserFactory(is_staff=True), UserFactory(is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_payment"))
    seers = [alice, olga, clerk, bob, colleague, None]
    assert [seen_by(user, page) for user in seers] == [200, 200, 200, 404, 404, 404]


def test_what_it_says(alice, page):
    client = Client()
    client.force_login(alice)
    text = client.get(page).content.decode().replace("\u00a0", " ")
    payment = Payment.objects.get()
    for fact in (
        payment.receipt_number,
        "alice@example.com",
        "100.00 ZNC",
        "90.00 EUR",
        "Test payment",
        payment.provider_id,
    ):
        assert fact in text
    assert "Refunded" not in text
    at_provider(payment, refunded=30)
    send(mock.event_body(payment.pk, "payment.refunded"))
    text = client.get(page).content.decode()
    assert "Refunded" in text
    assert "30.00 EUR" in text


def test_in_russian(alice, page):
    client = Client()
    client.force_login(alice)
    text = client.get(page, headers={"Accept-Language": "ru"}).content.decode()
    for fact in ("100.00\u00a0ZNC", "90.00 EUR", "Тестовый платёж, без настоящих денег"):
        assert fact in text


def test_the_message_is_in_the_users_language(alice, mailoutbox, django_capture_on_commit_callbacks):
    alice.language = "ru"
    alice.save()
    with django_capture_on_commit_callbacks(execute=True):
        paid(alice)
    (message,) = mailoutbox
    assert message.subject == "Ваше пополнение"
    assert "Здравствуйте, alice!" in message.body


def test_the_link_of_the_api_opens_it_for_an_hour(alice_api, page, settings):
    link = alice_api.get(PAYMENTS).json()["items"][0]["receipt_url"]
    assert link.startswith(f"{settings.BACKEND_URL}{page}?key=")
    path = link.removeprefix(settings.BACKEND_URL)
    response = Client().get(path)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        assert Client().get(path).status_code == 404


def test_a_link_opens_no_other_receipt(alice_api, page, bob):
    key = alice_api.get(PAYMENTS).json()["items"][0]["receipt_url"].partition("?key=")[2]
    other = paid(bob)
    assert Client().get(f"/billing/receipt/{other.pk}?key={key}").status_code == 404
    for forged in ("", "x", key[:-1], key + "x", f"{key}:{key}", "%00"):
        assert Client().get(f"{page}?key={forged}").status_code == 404


def test_there_is_none_before_the_payment_is_credited(alice, alice_api, payment):
    client = Client()
    client.force_login(alice)
    assert client.get(f"/billing/receipt/{payment.pk}").status_code == 404
    assert alice_api.get(PAYMENTS).json()["items"][0]["receipt_url"] == ""
