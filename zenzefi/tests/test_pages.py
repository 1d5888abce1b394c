"""The pages for people need nothing from elsewhere: they work without the internet."""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from django.test import Client

PAGES = ["/", "/nothing", "/docs", "/redoc", "/accounts/login/"]


def references(text: str) -> Iterator[str]:
    """The URLs that a browser would fetch for this HTML."""
    yield from re.findall(r'<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)="([^"]+)"', text)
    yield from re.findall(r'(?:@import|url\()\s*["\']?([^"\')]+)', text)


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
def test_whatever_a_page_loads_is_served_here(client: Client, path: str) -> None:
    found = list(references(client.get(path).content.decode()))
    assert found
    for reference in found:
        assert reference.startswith("/"), reference
        assert not reference.startswith("//")
        with closing(client.get(reference)) as asset:
            assert asset.status_code == 200, reference


def test_redoc_may_not_reach_out(client: Client) -> None:
    policy = client.get("/redoc")["Content-Security-Policy"]
    assert set(policy.split("; ")) >= {"default-src 'self'", "img-src 'self' data:", "worker-src 'self' blob:"}


def test_the_schema_is_json(client: Client) -> None:
    answer = client.get("/api/schema", headers={"Accept": "text/html"})
    assert answer["Content-Type"].startswith("application/vnd.oai.openapi+json")
    assert answer.json()["info"]["title"] == "Zenzefi API"
