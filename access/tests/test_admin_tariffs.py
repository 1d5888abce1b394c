"""Operators change the tariffs through the API."""

from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import AccessToken, Tariff
from access.tests.support.concurrency import at_once
from access.tests.support.tokens import Buy
from accounts.models import AuditEvent, User
from conftest import client_of, fund
from zenzefi.common.tests.support.bad_input import UNKNOWN_ID

URL = "/api/v1/admin/tariffs"
NEW = {"duration_hours": 48, "scope": "full", "price": 30.5, "title": "Two days"}
pytestmark = pytest.mark.usefixtures("tariffs")


@pytest.fixture
def day() -> Tariff:
    return Tariff.objects.get(duration_hours=24, scope="full")


def test_create(olga: User, olga_api: APIClient) -> None:
    response = olga_api.post(URL, NEW)

    assert response.status_code == 201
    tariff = Tariff.objects.get(duration_hours=48)
    assert response.json() == {"id": str(tariff.pk), **NEW}
    assert (tariff.price, tariff.title, tariff.scope) == (Decimal("30.50"), "Two days", "full")
    event = AuditEvent.objects.get(kind="tariff_created")
    assert event.actor == olga
    assert event.details == {**NEW, "tariff_id": str(tariff.pk), "price": "30.50"}


def test_the_new_tariff_is_sold(alice: User, alice_api: APIClient, olga_api: APIClient) -> None:
    fund(alice, "30.50")
    olga_api.post(URL, NEW)

    assert alice_api.post("/api/v1/tokens/purchase", {"duration_hours": 48}).json()["cost"] == 30.5


def test_title_and_scope_have_defaults(olga_api: APIClient) -> None:
    response = olga_api.post(URL, {"duration_hours": 2, "price": 2})

    assert response.status_code == 201
    assert (response.json()["scope"], response.json()["title"]) == ("full", "2 h, full access")


def test_one_tariff_per_duration_and_scope(olga_api: APIClient, day: Tariff) -> None:
    created = olga_api.post(URL, {**NEW, "duration_hours": 24})
    changed = olga_api.patch(f"{URL}/{day.pk}", {"duration_hours": 12})

    assert (created.status_code, list(created.json())) == (400, ["duration_hours"])
    assert (changed.status_code, list(changed.json())) == (400, ["duration_hours"])
    assert Tariff.objects.count() == 10
    day.refresh_from_db()
    assert day.duration_hours == 24
    assert not AuditEvent.objects.exists()


def test_change(olga_api: APIClient, day: Tariff) -> None:
    response = olga_api.patch(f"{URL}/{day.pk}", {"price": 20, "title": "A day"})

    assert response.status_code == 200
    assert response.json() == {
        "id": str(day.pk),
        "duration_hours": 24,
        "scope": "full",
        "price": 20.0,
        "title": "A day",
    }
    day.refresh_from_db()
    assert (day.price, day.title) == (Decimal(20), "A day")
    assert AuditEvent.objects.get(kind="tariff_changed").details["price"] == "20.00"


def test_an_empty_change(olga_api: APIClient, day: Tariff) -> None:
    assert olga_api.patch(f"{URL}/{day.pk}", {}).json()["price"] == 18.0


def test_what_was_sold_stays(alice: User, alice_api: APIClient, olga_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    tariff = Tariff.objects.get(duration_hours=24, scope="full")
    olga_api.patch(f"{URL}/{tariff.pk}", {"price": 99, "duration_hours": 25})

    deleted = olga_api.delete(f"{URL}/{tariff.pk}")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert not Tariff.objects.filter(pk=tariff.pk).exists()
    kept = AccessToken.objects.get()
    assert (kept.cost, kept.duration_hours, kept.expires_at) == (18, 24, token.expires_at)
    assert alice_api.delete(f"/api/v1/tokens/{token.pk}").json()["refund_amount"] == 18.0
    assert alice_api.post("/api/v1/tokens/purchase", {"duration_hours": 24}).status_code == 400


BAD: list[tuple[str, Any]] = [
    *(("price", value) for value in (0, -1, 0.001, "5", True, None, [], 10**30, 1e300)),
    *(("duration_hours", value) for value in (0, -1, 87_601, 1.5, "24", True, None, [], 10**30)),
    *(("scope", value) for value in ("", "all", None, 5, ["full"], "\x00")),
    *(("title", value) for value in ("", None, 5, [], "a\x00", "a" * 101)),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_bad_input(olga_api: APIClient, day: Tariff, field: str, value: Any) -> None:
    for response in (
        olga_api.post(URL, {**NEW, field: value}),
        olga_api.patch(f"{URL}/{day.pk}", {"title": "changed", field: value}),
    ):
        assert (response.status_code, list(response.json())) == (400, [field])
    assert Tariff.objects.count() == 10
    assert not Tariff.objects.filter(title="changed").exists()


@pytest.mark.parametrize("field", ["duration_hours", "price"])
def test_required(olga_api: APIClient, field: str) -> None:
    response = olga_api.post(URL, {name: value for name, value in NEW.items() if name != field})

    assert (response.status_code, list(response.json())) == (400, [field])


@pytest.mark.parametrize("tariff_id", [UNKNOWN_ID, "x", "%00"])
def test_no_such_tariff(olga_api: APIClient, tariff_id: str) -> None:
    for response in (
        olga_api.patch(f"{URL}/{tariff_id}", {"price": 5}),
        olga_api.patch(f"{URL}/{tariff_id}", {}),
        olga_api.delete(f"{URL}/{tariff_id}"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_for_superusers_only(api: APIClient, alice_api: APIClient, day: Tariff) -> None:
    for client, error in [(api, (401, "not_authenticated")), (alice_api, (403, "permission_denied"))]:
        for response in (
            client.post(URL, NEW),
            client.patch(f"{URL}/{day.pk}", {"price": 1}),
            client.delete(f"{URL}/{day.pk}"),
        ):
            assert (response.status_code, response.json()["code"]) == error
    assert Tariff.objects.count() == 10


# case G83
@pytest.mark.django_db(transaction=True)
def test_the_same_tariff_five_times_at_once(olga: User) -> None:
    clients = [client_of(olga) for _ in range(5)]

    responses = at_once(*(lambda api=api: api.post(URL, NEW) for api in clients))

    assert sorted(response.status_code for response in responses) == [201, 400, 400, 400, 400]
