"""Denial messages in both languages."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone, translation

from proxy.dataplane import errors
from proxy.dataplane.denials.messages import AGAIN, ago, explain
from proxy.dataplane.errors import Denial

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CODES = sorted({each.code for each in vars(errors).values() if isinstance(each, Denial)})


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("code", CODES)
def test_every_code_has_its_own_message(code, language):
    with translation.override(language):
        unknown = explain("unknown-code", {})
        found = explain(code, {})
        assert found.sentence.endswith(".")
        assert found.advice
        assert found.sentence != unknown.sentence


@pytest.mark.parametrize("code", ["user_inactive", "unknown-code"])
def test_no_button_if_no_page_helps(code):
    assert (explain(code, {}).action, explain(code, {}).url) == ("", "")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("code", CODES)
def test_a_button_leads_to_a_page(client, alice, alice_token, code):
    client.force_login(alice)
    for found in (explain(code, {}), explain(code, {}, alice_token.token.pk)):
        assert bool(found.action) is bool(found.url)
        if found.url not in ("", AGAIN):
            assert client.get(found.url).status_code == 200, found.url


@pytest.mark.parametrize("code", ["upstream_timeout", "maintenance", "rate_limited", "request_timeout"])
def test_try_again_if_waiting_helps(code):
    assert explain(code, {}).url == AGAIN


@pytest.mark.parametrize(
    ("language", "seconds", "expected"),
    [
        ("en", 20, "Your token expired a moment ago."),
        ("en", 65, "Your token expired 1 minute ago."),
        ("en", 200, "Your token expired 3 minutes ago."),
        ("en", 3 * 3600, "Your token expired 3 hours ago."),
        ("en", 50 * 3600, "Your token expired 2 days ago."),
        ("ru", 20, "Срок действия вашего токена истёк только что."),
        ("ru", 65, "Срок действия вашего токена истёк 1 минуту назад."),
        ("ru", 21 * 3600, "Срок действия вашего токена истёк 21 час назад."),
        ("ru", 5 * 86_400, "Срок действия вашего токена истёк 5 дней назад."),
    ],
)
def test_an_expired_token(language, seconds, expected):
    detail = {"expired_at": NOON.isoformat()}
    with translation.override(language), time_machine.travel(NOON + timedelta(seconds=seconds), tick=False):
        assert explain("token_expired", detail).sentence == expected


@pytest.mark.parametrize(
    ("language", "expected", "afterwards"),
    [
        ("en", "In use by device …41 until 15:05 MSK.", "Device …41 was using this token."),
        ("ru", "Занят устройством …41 до 15:05 MSK.", "Этим токеном пользовалось устройство …41."),
    ],
)
def test_a_token_that_another_device_holds(language, expected, afterwards):
    detail = {"holder": "41", "held_until": (NOON + timedelta(minutes=5)).isoformat()}
    moscow = timezone.override(ZoneInfo("Europe/Moscow"))
    with translation.override(language), moscow, time_machine.travel(NOON, tick=False) as clock:
        assert explain("device_conflict", detail, uuid4()).sentence == expected
        clock.shift(timedelta(minutes=5))
        assert explain("device_conflict", detail, uuid4()).sentence == afterwards


def test_the_time_to_wait():
    assert explain("rate_limited", {"retry_after": 12}).advice == "Wait 12 seconds."
    assert explain("rate_limited", {}).advice == "Wait a minute, then try again."


def test_time_that_runs_backwards():
    assert ago(timedelta(seconds=-5)) == "a moment ago"
