"""The script that keeps what a page's own scripts ask for under the prefix, as an element of the page.

It stands in the page itself: it needs no request, runs before every other script, and its hash is known to a policy
of any kind (CSP Level 2, `strict-dynamic` too); a file would need a host of a source list, which that ignores.
"""

import base64
import hashlib
import json
from pathlib import Path

from proxy.dataplane.rewriting.urls import Addresses
from proxy.dataplane.rules.paths import PREFIX

_SOURCE = (Path(__file__).parent / "script.js").read_text("utf-8").strip()


class Script:
    """The element, what of a Content-Security-Policy lets it run, and a name that changes with it."""

    def __init__(self, addresses: Addresses) -> None:
        known = (PREFIX, addresses.origin, addresses.base_path)
        content = (_compact(_SOURCE) + "(" + ", ".join(_literal(value) for value in known) + ");").encode("ascii")
        digest = hashlib.sha256(content).digest()
        self.element = b"<script>" + content + b"</script>"
        self.hash_source = b"'sha256-" + base64.b64encode(digest) + b"'"
        self.version = digest.hex()[:8].encode()


def _compact(source: str) -> str:
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _literal(value: bytes) -> str:
    """As a literal that stands in HTML and in XML (HTML 4.12.1.3)."""
    text = json.dumps(value.decode("latin-1"))
    return text.replace("<", "\\u003c").replace("&", "\\u0026").replace("]]>", "]]\\u003e")
