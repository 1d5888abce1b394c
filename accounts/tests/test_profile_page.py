"""The profile: name, language, time zone."""

import pytest
from django.test import Client

from accounts.models import User
from accounts.web.forms import time_zones

URL = "/accounts/profile/"
FORM = {"full_name": "Alice A.", "language": "ru", "time_zone": "Asia/Yekaterinburg"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_needs_a_login(client: Client) -> None:
    assert client.get(URL)["Location"] == f"/accounts/login/?next={URL}"


def test_is_saved(as_alice: Client, alice: User) -> None:
    assert as_alice.post(URL, FORM)["Location"] == URL

    alice.refresh_from_db()
    assert {name: getattr(alice, name) for name in FORM} == FORM
    assert '<html lang="ru"' in as_alice.get(URL).content.decode()


def test_says_so_in_the_language_that_was_chosen(as_alice: Client) -> None:
    assert "Сохранено." in as_alice.post(URL, FORM, follow=True).content.decode()
    english = as_alice.post(URL, {**FORM, "language": ""}, follow=True, headers={"Accept-Language": "en"})
    assert "Saved." in english.content.decode()


def test_can_be_left_to_the_browser(as_alice: Client, alice: User) -> None:
    as_alice.post(URL, FORM)
    as_alice.post(URL, {"full_name": "", "language": "", "time_zone": ""})

    alice.refresh_from_db()
    assert (alice.full_name, alice.language, alice.time_zone) == ("", "", "")


@pytest.mark.parametrize(
    ("field", "value"),
    [("full_name", "x" * 201), ("language", "de"), ("time_zone", "Mars/Olympus"), ("time_zone", "../../etc/passwd")],
)
def test_rejects(as_alice: Client, alice: User, field: str, value: str) -> None:
    response = as_alice.post(URL, {**FORM, field: value})

    assert list(response.context["form"].errors) == [field]
    alice.refresh_from_db()
    assert alice.language == ""
    if field != "full_name":
        assert 'value="Alice A."' in response.content.decode()


def test_other_fields_cannot_be_slipped_in(as_alice: Client, alice: User) -> None:
    as_alice.post(URL, {**FORM, "is_staff": "on", "is_superuser": "on", "email": "olga@example.com", "username": "x"})

    alice.refresh_from_db()
    assert (alice.is_staff, alice.is_superuser, alice.email, alice.username) == (
        False,
        False,
        "alice@example.com",
        "alice",
    )


def test_the_switch_in_the_footer_is_remembered(as_alice: Client, alice: User) -> None:
    as_alice.post(URL, FORM)

    as_alice.post("/language", {"language": "en", "next": URL})

    alice.refresh_from_db()
    assert alice.language == "en"
    assert '<html lang="en"' in as_alice.get(URL).content.decode()


def test_time_zones_are_places() -> None:
    zones = time_zones()
    assert {"UTC", "Europe/Berlin", "Europe/Moscow", "America/Argentina/Buenos_Aires"} <= set(zones)
    assert not {"CET", "US/Eastern", "Etc/GMT+5"} & set(zones)
