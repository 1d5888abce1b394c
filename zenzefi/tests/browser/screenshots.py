"""A program that takes screenshots of all pages, at two widths, light and dark, into var/screenshots/.

Its arguments are names of pages, or `--readme` for the pictures of the README in docs/images/.
"""

import shutil
import sys
import tempfile
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from zenzefi.tests.browser import server
from zenzefi.tests.browser.registry import OUTSIDE, PAGES
from zenzefi.tests.support.command import ROOT

FOLDER = ROOT / "var/screenshots"
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
README = {"token-buy": (1280, "light"), "dashboard": (1280, "dark"), "usage": (390, "light"), "denied": (390, "dark")}


def main(names: list[str]) -> None:
    """Take screenshots of the named pages, or of all. Those of the README show one window only."""
    readme = names == ["--readme"]
    folder = ROOT / "docs/images" if readme else FOLDER
    pages = [page for page in (*PAGES, *OUTSIDE) if not names or page.name in (README if readme else names)]
    if not names:
        shutil.rmtree(FOLDER, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    taken = 0
    with (
        tempfile.TemporaryDirectory() as data_dir,
        server.running(Path(data_dir)) as site,
        sync_playwright() as playwright,
        playwright.chromium.launch(**server.CHROMIUM) as browser,
    ):
        for page in pages:
            for width, scheme in [README[page.name]] if readme else product(WIDTHS, SCHEMES):
                name = page.name if readme else f"{page.name}-{width}-{scheme}"
                _take(browser, site, page, width, scheme, folder / f"{name}.png", whole=not readme)
                taken += 1
    sys.stdout.write(f"{taken} pictures in {folder}\n")


def _take(
    browser: Browser, site: server.Site, page: server.SitePage, width: int, scheme: str, path: Path, *, whole: bool
) -> None:
    with site.open(browser, page.who, width=width, color_scheme=scheme) as context:
        tab = context.new_page()
        tab.goto(site.path(page), wait_until="networkidle")
        tab.screenshot(path=path, full_page=whole)


if __name__ == "__main__":
    main(sys.argv[1:])
