"""Descriptions of the ledger, stored in English and shown in Russian."""

from decimal import Decimal

import pytest
from django.utils import translation

from access import services
from access.models import Scope
from accounts.models import User
from billing import debts, topups
from billing.idempotency import Call
from billing.models import Transaction
from billing.providers import LABELS
from billing.templatetags.ledger_descriptions import HEADS, in_words
from billing.tests.support.mock_provider import paid
from zenzefi import demo

RUSSIAN = {
    "Access token: 24 hours, full access": "Токен доступа: 1 день, полный доступ",
    "Access token: 7 days, certificates only": "Токен доступа: 7 дней, только сертификаты",
    "Extension of an access token: 1 hour, full access": "Продление токена доступа: 1 час, полный доступ",
    "Refund of an access token: 1 h, certificates_only": "Возврат за токен доступа: 1 час, только сертификаты",
    "Refund of an access token: 169 h, full": "Возврат за токен доступа: 7 дней 1 час, полный доступ",
    "Access token: Weekend special": "Токен доступа: Weekend special",
    "Top-up through mock": "Пополнение: Тестовый платёж, без настоящих денег",
    "Owed: Money went back: stripe payment 2026-000001": (
        "В долг: Деньги возвращены плательщику: платёж 2026-000001 (Банковская карта, через Stripe)"
    ),
    "Thank you: for everything": "Thank you: for everything",
    "": "",
}


@pytest.mark.usefixtures("_translated")
@pytest.mark.parametrize(("kept", "read"), RUSSIAN.items())
def test_a_description(kept: str, read: str) -> None:
    with translation.override("ru"):
        assert in_words(kept) == read


def test_english_uses_the_words_of_the_site() -> None:
    for name, label in LABELS.items():
        assert in_words(f"Top-up through {name}") == f"Top-up: {label}"
        assert in_words(f"Money went back: {name} payment 2026-000001") == (
            f"Money went back: payment 2026-000001 ({label})"
        )
    assert in_words("Access token: 24 hours, full access") == "Access token: 1 day, full access"


@pytest.mark.django_db
def test_all_descriptions_of_the_services_are_known(alice: User) -> None:
    call = Call(alice, "test", key="", body=None)
    demo.prepare()
    topups.mock_purchase(call, Decimal(100))
    paid(alice, "30")
    token = services.purchase(call, 1, Scope.FULL)
    services.extend(call, token.pk, 1)
    services.revoke_with_refund(call, token.pk)
    debts.take_back(alice, Decimal(200), "Money went back: mock payment 2026-000001")
    topups.mock_purchase(call, Decimal(1))
    topups.mock_purchase(call, Decimal(500))
    debts.give_back(alice, Decimal(30), "Money came again: mock payment 2026-000001")

    written = {row.description for row in Transaction.objects.all()}
    assert {text.partition(": ")[0] for text in written} <= HEADS.keys()
    assert len(written) >= 9
