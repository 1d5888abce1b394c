"""No response of the control plane is stored by a cache, except static files."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.templatetags.static import static
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize

from accounts.models import User

ID = "00000000-0000-4000-8000-000000000000"
# Values for the parameters of paths, by name; others get the id.
VALUES = {"provider": "mock", "uidb36": "x", "key": "x-y", "app_label": "accounts", "url": "x", "path": "x"}


def paths(patterns: Any = None, before: str = "") -> Iterator[str]:
    """Yield a path for each URL pattern, whether or not an object of that id exists."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        (form, names), *_ = normalize(pattern.pattern.regex.pattern.replace(r"\Z", ""))
        path = before + form % {name: VALUES.get(name, ID) for name in names}
        if isinstance(pattern, URLResolver):
            yield from paths(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield f"/{path}"


@pytest.fixture(params=["anyone", "customer", "operator"])
def visitor(request: pytest.FixtureRequest, client: Client, alice: User) -> Client:
    """Return a client of a visitor, a customer and an operator."""
    client.raise_request_exception = False
    if request.param == "operator":
        alice.is_staff = alice.is_superuser = True
        alice.save()
    if request.param != "anyone":
        client.force_login(alice)
    return client


# case G72
@pytest.mark.django_db
def test_every_path(visitor: Client) -> None:
    """Request each path; the response must not be stored, with any status."""
    known = list(paths())
    assert {"/", "/tokens", "/accounts/login/", "/api/v1/tariffs", "/admin/login/", f"/denied/{ID}"} <= set(known)
    assert len(known) > 100
    for path in known:
        if path.startswith(("/accounts/logout", "/admin/logout")):  # last, if at all
            continue
        response = visitor.get(path)
        stated = response.get("Cache-Control", "")
        b"".join(response)  # a download reads and closes its file
        assert "no-store" in stated, (path, response.status_code, stated)
        assert "public" not in stated, path


# case G72
@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/nothing", "/api/v1/nothing", "/static/gone.0123456789ab.css", "/accounts/nothing/"]
)
def test_errors(client: Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response["Cache-Control"]) == (404, "no-store")


@pytest.mark.django_db
def test_static_files_are_cacheable(client: Client) -> None:
    assert client.get(static("site.css"))["Cache-Control"] == "max-age=315360000, public, immutable"
