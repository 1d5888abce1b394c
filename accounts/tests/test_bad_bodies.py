"""Request bodies that are not a JSON object, sent to calls without authentication."""

import json

import pytest
from rest_framework.test import APIClient

from accounts.models import RefreshFamily, User

PATHS = ["/api/v1/auth/register", "/api/v1/auth/login", "/api/v1/auth/refresh"]
FIELDS = ["email", "username", "password", "refresh_token"]


def _with(value: str) -> bytes:
    return b"{" + ",".join(f'"{field}": {value}' for field in FIELDS).encode() + b"}"


BODIES: dict[str, tuple[bytes, int]] = {
    "malformed": (b'{"email": ', 400),
    "not JSON at all": (b"email=a&password=b", 400),
    "NaN": (_with("NaN"), 400),
    "Infinity": (_with("-Infinity"), 400),
    "lone surrogates": (_with(r'"\ud800"'), 400),
    "invalid UTF-8": (_with('"x"').replace(b"x", b"\xff\xfe"), 400),
    "a byte order mark": (b"\xef\xbb\xbf" + _with('"x"'), 400),
    "10 000 deep": (b"[" * 10_000 + b"]" * 10_000, 400),
    "10 000 deep in a field": (_with("[" * 10_000 + "]" * 10_000), 400),
    "3 MB": (_with(json.dumps("x" * 3_000_000)), 413),
    "an array": (b"[]", 400),
    "an array of objects": (b"[" + _with('"x"') + b"]", 400),
    "a string": (b'"register"', 400),
    "a number": (b"7", 400),
    "a number of 5 000 digits": (b"7" * 5_000, 400),
    "null": (b"null", 400),
    "NUL": (_with(r'"\u0000"'), 400),
    "numbers": (_with("12345678"), 400),
    "booleans": (_with("true"), 400),
    "objects": (_with("{}"), 400),
}


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BODIES)
def test_is_rejected_and_nothing_is_written(api: APIClient, path: str, name: str) -> None:
    body, status = BODIES[name]

    response = api.generic("POST", path, body, content_type="application/json")

    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    assert response.json()
    assert not User.objects.exists()
    assert not RefreshFamily.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]
)
def test_only_json_is_read(api: APIClient, path: str, content_type: str) -> None:
    response = api.generic("POST", path, b"email=a", content_type=content_type)

    assert response.status_code == 415
    assert response.json()["code"] == "unsupported_media_type"


@pytest.mark.django_db
def test_a_profile_takes_no_bad_body_either(alice_api: APIClient, alice: User) -> None:
    for name, (body, status) in BODIES.items():
        response = alice_api.generic("PATCH", "/api/v1/users/me", body, content_type="application/json")
        assert response.status_code == status, name
    before = alice.password
    alice.refresh_from_db()
    assert alice.password == before
