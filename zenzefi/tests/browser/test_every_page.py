"""Every page of the registry: accessible, quiet on the console, and no wider than a phone."""

import pytest

from zenzefi.tests.browser.accessibility import findings
from zenzefi.tests.browser.conftest import Visit
from zenzefi.tests.browser.registry import OUTSIDE, PAGES, SitePage
from zenzefi.tests.browser.server import Site

LOOKS = {"desktop, light": (1280, "light", "en-GB"), "phone, dark": (390, "dark", "ru-RU")}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("site_page", [*PAGES, *OUTSIDE], ids=lambda page: page.name)
def test_a_page(visit: Visit, site: Site, site_page: SitePage, look: tuple[int, str, str]) -> None:
    width, scheme, locale = look
    page = visit(site_page.who, width=width, color_scheme=scheme, locale=locale)

    response = page.goto(site.path(site_page))

    assert response is not None
    assert (response.status, page.locator("h1").count()) == (site_page.status, 1)
    assert page.locator("html").get_attribute("lang") == locale[:2]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert findings(page) == []
