"""Pages that tell a person why the gateway denied the request of their browser."""

import re
from typing import Any

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
NAVIGATION = {"Accept": CHROMIUM, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def heading(response: Any) -> str:
    """Return the HTML of the page's first heading."""
    return re.search("<h1[^>]*>(.*?)</h1>", response.text)[1]


def buttons(response: Any) -> dict[str, str]:
    """Return the labels of the page's buttons by their links."""
    return dict(re.findall(r'<a class="btn[^"]*" *\n? *href="([^"]*)">(.*?)</a>', response.text))
