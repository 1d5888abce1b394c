"""Error pages need no script, session or database; API paths return JSON."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from structlog.contextvars import bound_contextvars

from accounts.errors import InvalidCredentials
from zenzefi.api.errors import csrf_failure, too_many_requests
from zenzefi.urls import handler400, handler403, handler404, handler500  # noqa: F401  # this module is a URLconf, too

RAISED = {
    "bad-request": BadRequest("secret"),
    "forbidden": PermissionDenied("secret"),
    "outage": OperationalError("secret"),
    "api-error": InvalidCredentials(),
    "bug": RuntimeError("secret"),
}


def raising(error: Exception) -> Callable[[HttpRequest], HttpResponse]:
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    return view


urlpatterns = [
    *[path(f"{prefix}{name}", raising(error)) for name, error in RAISED.items() for prefix in ("", "api/")],
    path("csrf", csrf_failure),
    path("too-many", too_many_requests),
    path("", include("zenzefi.urls")),
]
ERRORS = {
    "bad-request": (400, "The request is not valid."),
    "forbidden": (403, "You do not have permission to do this."),
    "csrf": (403, "This form has expired. Reload the page and try again."),
    "nothing": (404, "Nothing was found at this address. Check the address."),
    "too-many": (429, "Too many attempts."),
    "api-error": (401, "The e-mail or the password is wrong."),
    "bug": (500, "Something went wrong on our side. The error has been logged."),
    "outage": (503, "The service is unavailable right now. Try again in a moment."),
}


@pytest.fixture
def broken(client: Client, settings: Any) -> Client:
    settings.ROOT_URLCONF = __name__
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize(("name", "expected"), ERRORS.items(), ids=ERRORS)
def test_a_page_needs_no_database(broken: Client, name: str, expected: tuple[int, str]) -> None:
    """Check the page. Without the fixture `db`, a query would fail the test."""
    status, sentence = expected
    with bound_contextvars(request_id="0123456789"):
        response = broken.get(f"/{name}")
    page = response.content.decode()
    assert response.status_code == status
    assert re.findall(r"<h1[^>]*>([^<]+)</h1>", page) == [sentence]
    assert f"Error {status}" in page
    assert ("0123456789" in page) == (status >= 500)  # to report what is our fault
    assert '<a class="btn btn-primary" href="/' in page
    assert "secret" not in page
    assert "<form" not in page
    assert settings.CSRF_COOKIE_NAME not in response.cookies
    assert response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", RAISED)
def test_an_api_path_stays_json(broken: Client, name: str) -> None:
    response = broken.get(f"/api/{name}")
    assert response.status_code == ERRORS[name][0]
    assert response.json()["detail"] == ERRORS[name][1]
    assert response.json().keys() == {"detail", "code"}


def test_an_outage_says_when_to_come_back(broken: Client) -> None:
    assert broken.get("/outage")["Retry-After"] == "1"


def test_a_form_without_its_token(settings: Any) -> None:
    response = Client(enforce_csrf_checks=True).post("/theme", {"theme": "dark"})
    assert response.status_code == 403
    assert "This form has expired" in response.content.decode()


def test_a_database_that_is_gone(broken: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the page if not even the session can be read."""

    def gone(*_args: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore._get_session_from_db", gone)
    broken.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32
    response = broken.get("/", headers={"accept-language": "ru"})
    assert response.status_code == 503
    assert '<html lang="ru">' in response.content.decode()


@override_settings(DEBUG=False)
def test_a_host_that_is_not_ours(broken: Client) -> None:
    response = broken.get("/", headers={"host": "evil.example"})
    assert (response.status_code, "<h1" in response.content.decode()) == (400, True)
