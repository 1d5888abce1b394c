"""Token secrets are stored encrypted: no clear text in the database, and keys can be rotated."""

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from rest_framework.test import APIClient

from accounts.models import User
from conftest import fund
from zenzefi.common.digests import secret_digest

pytestmark = pytest.mark.usefixtures("tariffs")


def everything_in_the_database() -> str:
    with connection.cursor() as cursor:
        cells = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            cells += [cell for row in cursor.fetchall() for cell in row]
    return "\n".join(
        bytes(cell).decode("latin-1") if isinstance(cell, bytes | memoryview) else str(cell) for cell in cells
    )


def test_no_table_holds_a_clear_token(alice: User, alice_api: APIClient) -> None:
    fund(alice, "1")
    bought = alice_api.post(
        "/api/v1/tokens/purchase", {"duration_hours": 1}, headers={"Idempotency-Key": "kept"}
    ).json()

    kept = everything_in_the_database()

    assert secret_digest(bought["token"]) in kept
    assert "kept" in kept
    assert bought["token"] not in kept


def test_rotation(alice: User, alice_api: APIClient, settings: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    fund(alice, "2")

    def buy() -> str:
        return str(alice_api.post("/api/v1/tokens/purchase", {"duration_hours": 1}).json()["token"])

    def listed() -> list[str | None]:
        return [item["token"] for item in alice_api.get("/api/v1/tokens/my-tokens").json()["items"]]

    settings.TOKEN_ENCRYPTION_KEYS = [old]
    first = buy()
    settings.TOKEN_ENCRYPTION_KEYS = [new, old]
    second = buy()
    assert listed() == [second, first]

    settings.TOKEN_ENCRYPTION_KEYS = [new]
    assert listed() == [second, None]
    assert alice_api.post("/api/v1/tokens/validate", {"token": first}).json()["valid"] is True
