"""The examples of the page about connecting: made here for the page, and run by a test as the page shows them."""

from dataclasses import dataclass

from django.conf import settings

from proxy.dataplane.rules.paths import PREFIX

# Where the reader puts the token in, who did not have it filled in.
PLACEHOLDER = "YOUR-TOKEN"

_CURL_STATUS = """\
curl -sS \\
  -H 'X-Access-Token: {token}' \\
  -H 'X-Device-ID: {device}' \\
  '{gateway}status'"""

_CURL = """\
curl -sS -i \\
  -H 'X-Access-Token: {token}' \\
  -H 'X-Device-ID: {device}' \\
  '{gateway}certificates'"""

_PYTHON = """\
import urllib.error
import urllib.request

GATEWAY = "{gateway}"
HEADERS = {{
    "X-Access-Token": "{token}",
    "X-Device-ID": "{device}",
}}


def get(path):
    request = urllib.request.Request(GATEWAY + path, headers=HEADERS)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        # X-Zenzefi-Error is there where the gateway refused, and not the server behind it.
        return refused.code, refused.headers.get("X-Zenzefi-Error", "")


status, body = get("certificates")
print(status, len(body))"""


@dataclass(frozen=True)
class Example:
    name: str
    text: str


def gateway() -> str:
    """The absolute URL below which the server's paths are."""
    return f"{settings.BACKEND_URL}{PREFIX.decode()}/"


def examples(token: str, device: str) -> list[Example]:
    """For this token's text and device id: a test of the connection, and the same request by curl and in Python."""
    values = {"gateway": gateway(), "token": token, "device": device}
    sources = {"test": _CURL_STATUS, "curl": _CURL, "python": _PYTHON}
    return [Example(name, source.format(**values)) for name, source in sources.items()]
