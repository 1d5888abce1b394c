"""Language, time zone and colours: choices take precedence over the settings of the browser."""

from datetime import UTC, datetime
from http.cookies import SimpleCookie
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import AsyncClient, Client
from django.utils import timezone, translation

from accounts.models import User
from zenzefi.common.templatetags import ui

MOMENT = datetime(2026, 1, 31, 22, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _as_before(db: None) -> Any:
    """Restore the language and time zone, which a request changes in the thread of the test."""
    yield
    translation.activate(settings.LANGUAGE_CODE)
    timezone.deactivate()


def language_of(client: Client, **headers: str) -> str:
    return str(client.get("/", headers=headers)["Content-Language"])


class TestTheLanguage:
    def test_the_switch_is_remembered_and_leads_back(self, client: Client) -> None:
        response = client.post("/language", {"language": "ru", "next": "/?a=1"})
        assert (response.status_code, response["Location"]) == (302, "/?a=1")
        assert language_of(client, accept_language="en") == "ru"
        cookie = client.cookies[settings.LANGUAGE_COOKIE_NAME]
        assert (cookie["max-age"], cookie["samesite"]) == (31_536_000, "Lax")

    def test_it_leads_to_no_foreign_site(self, client: Client) -> None:
        for target in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
            for path, field in (("/language", "language"), ("/theme", "theme")):
                response = client.post(path, {field: "ru", "next": target})
                assert response["Location"] == "/"

    @pytest.mark.parametrize("wrong", ["de", "", "../ru", "\x00"])
    def test_an_unknown_language_changes_nothing(self, client: Client, wrong: str) -> None:
        client.post("/language", {"language": wrong})
        assert language_of(client) == "en"

    def test_it_takes_a_post(self, client: Client) -> None:
        assert client.get("/language").status_code == 405
        assert client.get("/theme").status_code == 405

    def test_the_users_own_comes_first(self, client: Client, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(language="ru")
        client.force_login(alice)
        client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
        assert language_of(client) == "ru"
        assert client.get("/api/v1/nothing", headers={"accept-language": "en"})["Content-Language"] == "en"

    def test_under_asgi_too(self, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(language="ru")
        client = AsyncClient()
        client.force_login(alice)

        response = async_to_sync(client.get)("/")

        assert (response.status_code, response["Content-Language"]) == (200, "ru")
        assert "default-src 'self'" in response["Content-Security-Policy"]


class TestTheTimeZone:
    @pytest.mark.parametrize(
        ("cookie", "expected"),
        [
            ("Europe/Moscow", "Feb. 1, 2026, 01:30\u00a0MSK"),
            ("Asia/Yekaterinburg", "Feb. 1, 2026, 03:30\u00a0UTC+5"),
            ("Asia/Kathmandu", "Feb. 1, 2026, 04:15\u00a0UTC+5:45"),
            ("America/Sao_Paulo", "Jan. 31, 2026, 19:30\u00a0UTC−3"),
            ("", "Jan. 31, 2026, 22:30\u00a0UTC"),
            ("../../etc/passwd", "Jan. 31, 2026, 22:30\u00a0UTC"),
            ("Mars/Olympus", "Jan. 31, 2026, 22:30\u00a0UTC"),
        ],
    )
    def test_the_browsers(self, client: Client, cookie: str, expected: str) -> None:
        client.cookies = SimpleCookie({settings.TIME_ZONE_COOKIE_NAME: cookie})
        client.get("/")
        assert ui.moment(MOMENT) == f'<time datetime="2026-01-31T22:30:00Z">{expected}</time>'

    def test_the_users_own_comes_first(self, client: Client, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(time_zone="Asia/Tokyo")
        client.force_login(alice)
        client.cookies[settings.TIME_ZONE_COOKIE_NAME] = "Europe/Moscow"
        client.get("/")
        assert ">Feb. 1, 2026, 07:30\u00a0JST<" in ui.moment(MOMENT)

    def test_it_does_not_stay_for_the_next(self, client: Client) -> None:
        client.cookies[settings.TIME_ZONE_COOKIE_NAME] = "Europe/Moscow"
        client.get("/")
        Client().get("/")
        assert "22:30\u00a0UTC" in ui.moment(MOMENT)

    def test_the_russian_year_stays_with_its_word(self) -> None:
        with translation.override("ru"), timezone.override(UTC):
            assert ">31 января 2026\u00a0г., 22:30\u00a0UTC<" in ui.moment(MOMENT)


class TestTheColours:
    def test_they_are_in_the_page_that_the_server_sends(self, client: Client) -> None:
        assert "data-bs-theme" not in client.get("/").content.decode()
        assert client.post("/theme", {"theme": "dark", "next": "/"})["Location"] == "/"
        assert '<html lang="en" data-bs-theme="dark">' in client.get("/").content.decode()
        client.post("/theme", {"theme": ""})
        assert "data-bs-theme" not in client.get("/").content.decode()

    def test_a_cookie_of_something_else_is_ignored(self, client: Client) -> None:
        client.cookies[settings.THEME_COOKIE_NAME] = '"><script>'
        assert "data-bs-theme" not in client.get("/").content.decode()
