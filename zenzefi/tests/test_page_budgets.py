"""The budget of a page: 12 SQL queries, and 150 KB compressed at the first visit."""

import re

import pytest
from django.conf import settings
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from zenzefi.tests.browser import scenery
from zenzefi.tests.browser.registry import PAGES, SitePage

QUERIES = 12
FIRST_LOAD = 150_000
ASSETS = re.compile(r'<(?:script|link|img|use)\b[^>]*?\b(?:src|href)="(/static/[^"#]+)')


@pytest.mark.django_db
@pytest.mark.parametrize("site_page", PAGES, ids=lambda page: page.name)
def test_a_page(client: Client, site_page: SitePage, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    scene = scenery.build()
    client.cookies[settings.SESSION_COOKIE_NAME] = scene.sessions[site_page.who]

    with django_assert_max_num_queries(QUERIES):
        response = client.get(site_page.path.format(**scene.names))

    assert response.status_code == site_page.status
    html = response.content.decode()
    assets = set(ASSETS.findall(html))
    assert assets
    weight = len(html.encode()) + sum(transferred(client, asset) for asset in assets)
    assert weight < FIRST_LOAD, assets


def transferred(client: Client, asset: str) -> int:
    """Return the size of the compressed body in bytes."""
    response = client.get(asset, headers={"accept-encoding": "gzip"})
    assert response.status_code == 200, asset
    return len(response.content)
