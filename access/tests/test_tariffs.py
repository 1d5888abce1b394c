"""The public list of tariffs."""

from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from rest_framework.test import APIClient

from access.models import Scope, Tariff
from zenzefi.common.tests.support.bad_input import UNKNOWN_ID

pytestmark = pytest.mark.usefixtures("tariffs")


def test_both_scopes_are_shipped_at_the_default_prices(api: APIClient) -> None:
    response = api.get("/api/v1/tariffs")

    assert response.status_code == 200
    body = response.json()
    assert (body["total"], body["limit"], body["offset"]) == (10, 20, 0)
    sold = {(item["scope"], item["duration_hours"], item["price"]) for item in body["items"]}
    prices = [(1, 1.0), (12, 10.0), (24, 18.0), (168, 100.0), (720, 300.0)]
    assert sold == {(scope, *price) for scope in ("full", "certificates_only") for price in prices}


def test_one_tariff(api: APIClient) -> None:
    tariff = Tariff.objects.get(duration_hours=24, scope="full")

    response = api.get(f"/api/v1/tariffs/{tariff.pk}")

    assert response.status_code == 200
    assert response.json() == {
        "id": str(tariff.pk),
        "duration_hours": 24,
        "scope": "full",
        "price": 18.0,
        "title": tariff.title,
    }
    assert b'"price":18.00' in response.content


def test_pages(api: APIClient) -> None:
    first = api.get("/api/v1/tariffs?limit=4").json()
    rest = api.get("/api/v1/tariffs?limit=100&skip=4").json()

    assert (len(first["items"]), len(rest["items"]), rest["total"], rest["offset"]) == (4, 6, 10, 4)
    assert {item["id"] for item in first["items"]}.isdisjoint(item["id"] for item in rest["items"])


@pytest.mark.parametrize("query", ["limit=-1", "offset=x", "skip=1.5", "limit=", "offset=%00"])
def test_bad_pages(api: APIClient, query: str) -> None:
    assert api.get(f"/api/v1/tariffs?{query}").status_code == 400


@pytest.mark.parametrize("tariff_id", [UNKNOWN_ID, "abc", "%00", "1"])
def test_no_such_tariff(api: APIClient, tariff_id: str) -> None:
    response = api.get(f"/api/v1/tariffs/{tariff_id}")

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_a_broken_jwt_is_ignored(api: APIClient) -> None:
    api.credentials(HTTP_AUTHORIZATION="Bearer nonsense")

    assert api.get("/api/v1/tariffs").status_code == 200


def test_the_first_migration_sells_at_the_configured_prices(db: None, settings: Any) -> None:
    settings.TOKEN_PRICES = {1: Decimal("2.50"), 720: Decimal(321)}
    Tariff.objects.all().delete()

    import_module("access.migrations.0002_tariffs").create_tariffs(apps, None)

    sold = Tariff.objects.values_list("scope", "duration_hours", "price")
    assert set(sold) == {(scope, hours, price) for scope in Scope for hours, price in settings.TOKEN_PRICES.items()}
