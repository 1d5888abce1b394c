"""Values of the API's parameters at the edges of the schema."""

from typing import Any

import pytest
from rest_framework.test import APIClient

HIGHEST = 2**63 - 1


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("transactions?transaction_type=", 200),  # as a form without a choice sends it
        ("transactions?transaction_type=deposit", 200),
        ("transactions?transaction_type=gift", 400),
        *((f"transactions?{name}={HIGHEST}", 200) for name in ("skip", "offset", "limit")),
        *((f"transactions?{name}={HIGHEST + 1}", 400) for name in ("skip", "offset", "limit")),
        *((f"transactions?{name}={10**30}", 400) for name in ("skip", "offset", "limit")),
        *((f"transactions?{name}=", 400) for name in ("skip", "offset", "limit")),
        ("payments?skip=-1", 400),
        ("statement?from=2026-01-01&to=2026-01-31", 200),
        ("statement?from=2026-01-01T00:00:00Z&to=2026-01-31T10:00:00.5%2B03:00", 200),
        ("statement?from=&to=", 400),
        ("statement?from=2026-01-01&to=", 400),
        ("statement?from=&to=2026-01-31", 400),
        ("statement?from=20260101&to=20260131", 400),
        ("statement?from=2026-W01-1&to=2026-01-31", 400),
        ("statement?from=2026-01-01&to=2026-02-30", 400),
        ("statement?from=2026-01-01&to=2026-01-31&format=", 400),
    ],
)
def test_query(alice_api: APIClient, query: str, status: int) -> None:
    response = alice_api.get(f"/api/v1/currency/{query}")

    assert response.status_code == status, response.content


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 201),
        ({"scopes": ["read", "read"]}, 201),
        ({"scopes": []}, 400),
        ({"scopes": {"read": 1}}, 400),
        ({"scopes": "read"}, 400),
        ({"scopes": ["admin"]}, 400),
        ({"expires_in_days": 30.0}, 201),
        ({"expires_in_days": "30"}, 400),
        ({"expires_in_days": True}, 400),
        ({"expires_in_days": 1.5}, 400),
        ({"expires_in_days": 2**63}, 400),
        ({"expires_in_days": 0}, 400),
    ],
)
def test_api_token(alice_api: APIClient, change: dict[str, Any], status: int) -> None:
    response = alice_api.post("/api/v1/api-tokens", {"name": "script", "scopes": ["read"], **change})

    assert response.status_code == status, response.content


def test_the_schema_says_the_same(api: APIClient, db: None) -> None:
    schema = api.get("/api/schema?format=json").json()
    parameters = {
        parameter["name"]: parameter["schema"]
        for path in ("transactions", "statement")
        for parameter in schema["paths"][f"/api/v1/currency/{path}"]["get"]["parameters"]
    }
    scopes = schema["components"]["schemas"]["ApiTokenCreateRequest"]["properties"]["scopes"]

    assert parameters["skip"] == parameters["offset"] == {"type": "integer", "minimum": 0, "maximum": HIGHEST}
    assert "" in str(parameters["transaction_type"])
    assert parameters["from"]["pattern"] == parameters["to"]["pattern"]
    assert scopes["minItems"] == 1
