"""No log record contains a secret."""

import logging

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tests.factories import PASSWORD


# case E66
@pytest.mark.django_db
def test_no_password_and_no_token_is_logged(api: APIClient, alice: User, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("", "django.request"):
        caplog.set_level(logging.DEBUG, logger=name)
    secrets = [PASSWORD, "wrong-horse-7", "another-horse-8", "tr0ub4dor-and-3"]
    login = {"email": alice.email, "password": PASSWORD}
    pair = api.post("/api/v1/auth/login", login).json()
    successor = api.post("/api/v1/auth/refresh", {"refresh_token": pair["refresh_token"]}).json()

    api.post("/api/v1/auth/refresh", {"refresh_token": pair["refresh_token"]})
    api.post("/api/v1/auth/login", {**login, "password": "wrong-horse-7"})
    api.post("/api/v1/auth/register", {**login, "username": "alice", "password": "tr0ub4dor-and-3"})
    bearer = {"Authorization": f"Bearer {pair['access_token']}"}
    api.patch("/api/v1/users/me", {"password": "another-horse-8"}, headers=bearer)
    api.get("/api/v1/users/me", headers={"Authorization": f"Bearer {pair['refresh_token']}"})

    logged = "\n".join(str(vars(record)) for record in caplog.records)
    assert "/api/v1/auth/login" in logged  # the denials are among the captured records
    for secret in [*secrets, *(pair[name] for name in ("access_token", "refresh_token")), successor["refresh_token"]]:
        assert secret not in logged
