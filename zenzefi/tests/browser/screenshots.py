"""A program: every page of the registry at two widths, light and dark, as a picture in var/screenshots/."""

import shutil
import sys
import tempfile
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from zenzefi.tests.browser import server
from zenzefi.tests.browser.registry import OUTSIDE, PAGES
from zenzefi.tests.command import ROOT

FOLDER = ROOT / "var/screenshots"
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")


def main(names: list[str]) -> None:
    """Of the pages with these names, or of all."""
    pages = [page for page in (*PAGES, *OUTSIDE) if not names or page.name in names]
    if not names:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as data_dir,
        server.running(Path(data_dir)) as site,
        sync_playwright() as playwright,
        playwright.chromium.launch(**server.CHROMIUM) as browser,
    ):
        for page, width, scheme in product(pages, WIDTHS, SCHEMES):
            _take(browser, site, page, width, scheme)
    sys.stdout.write(f"{len(pages) * len(WIDTHS) * len(SCHEMES)} pictures in {FOLDER}\n")


def _take(browser: Browser, site: server.Site, page: server.SitePage, width: int, scheme: str) -> None:
    with site.open(browser, page.who, width=width, color_scheme=scheme) as context:
        tab = context.new_page()
        tab.goto(site.path(page), wait_until="networkidle")
        tab.screenshot(path=FOLDER / f"{page.name}-{width}-{scheme}.png", full_page=True)


if __name__ == "__main__":
    main(sys.argv[1:])
