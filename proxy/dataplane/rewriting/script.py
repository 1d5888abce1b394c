"""The script element that adds the prefix to URLs which a page's own scripts request.

It is part of the page, so it needs no request and runs before every other script. A policy of any kind can allow it
by its hash (CSP Level 2, also with `strict-dynamic`, which ignores the hosts that a script file would need).
"""

import base64
import hashlib
import json
from pathlib import Path

from proxy.dataplane.rewriting.urls import UrlRewriter
from proxy.dataplane.rules.paths import PREFIX

_SOURCE = (Path(__file__).parent / "script.js").read_text("utf-8").strip()


class Script:
    """The script element, its source expression for a Content-Security-Policy, and a version that changes with it."""

    def __init__(self, urls: UrlRewriter) -> None:
        known = (PREFIX, urls.origin, urls.base_path)
        content = (_compact(_SOURCE) + "(" + ", ".join(_literal(value) for value in known) + ");").encode("ascii")
        digest = hashlib.sha256(content).digest()
        self.element = b"<script>" + content + b"</script>"
        self.hash_source = b"'sha256-" + base64.b64encode(digest) + b"'"
        self.version = digest.hex()[:8].encode()


def _compact(source: str) -> str:
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _literal(value: bytes) -> str:
    """Return a JavaScript literal that is safe in HTML and XML (HTML 4.12.1.3)."""
    text = json.dumps(value.decode("latin-1"))
    return text.replace("<", "\\u003c").replace("&", "\\u0026").replace("]]>", "]]\\u003e")
