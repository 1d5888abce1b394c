"""Charts are drawn from a table, in the colours of the device, if there are values."""

import re

import pytest
from playwright.sync_api import Route, expect

from proxy.tests.support.servers import eventually
from zenzefi.tests.browser.conftest import Visit
from zenzefi.tests.browser.registry import CUSTOMER

CHART = "Chart.getChart(document.querySelector('canvas'))"


@pytest.mark.parametrize(
    ("path", "table", "name"),
    [("/usage", "by-time", "A chart of the table below"), ("/dashboard", "traffic", "Traffic in the last 7 days")],
)
def test_is_drawn_from_the_table(visit: Visit, path: str, table: str, name: str) -> None:
    page = visit(CUSTOMER, color_scheme="light")
    page.goto(path)
    expect(page.get_by_role("img", name=name)).to_be_visible()
    rows = page.locator(f"#{table} tr[data-value]")
    values = rows.evaluate_all("rows => rows.map((row) => Number(row.dataset.value) / 2**20)")
    labels = rows.locator("th").all_text_contents()
    assert len(values) == 7
    assert page.evaluate(f"{CHART}.data.datasets[0].data") == values
    assert page.evaluate(f"{CHART}.data.labels") == [label.strip() for label in labels]
    assert "MB" in page.evaluate(f"{CHART}.scales.y.ticks.at(-1).label")

    light = page.evaluate(f"{CHART}.data.datasets[0].backgroundColor")
    page.emulate_media(color_scheme="dark")
    eventually(lambda: page.evaluate(f"{CHART}.data.datasets[0].backgroundColor") != light)


@pytest.mark.parametrize("rows", ["", '<tr data-value="0"><th scope="row">1 Mar</th><td>0 bytes</td></tr>'])
def test_nothing_is_drawn_of_nothing(visit: Visit, rows: str) -> None:
    def with_rows(route: Route) -> None:
        response = route.fetch()
        route.fulfill(
            response=response,
            body=re.sub(r'(?s)(id="by-time".*<tbody>).*(</tbody>)', rf"\1{rows}\2", response.text()),
        )

    page = visit(CUSTOMER)
    page.route("**/usage", with_rows)
    page.goto("/usage", wait_until="networkidle")
    assert page.evaluate(f"{CHART} === undefined")


def test_the_usage_of_a_day_has_its_hours(visit: Visit) -> None:
    page = visit(CUSTOMER)
    page.goto("/usage")
    page.get_by_role("navigation", name="Period").get_by_role("link", name="24 hours").click()
    expect(page.locator("#by-time tbody tr")).to_have_count(24)
