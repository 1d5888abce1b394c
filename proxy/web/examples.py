"""The example scripts of the page about connecting. A test runs them exactly as the page shows them."""

from dataclasses import dataclass

from django.conf import settings

from proxy.dataplane.rules.paths import PREFIX

# Stands for the token until the page has filled it in.
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
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        # The gateway sets X-Zenzefi-Error when it denies a request. The server behind it does not.
        return error.code, error.headers.get("X-Zenzefi-Error", "")


status, body = get("certificates")
print(status, len(body))"""


@dataclass(frozen=True)
class Example:
    """An example script."""

    name: str
    text: str


def gateway() -> str:
    """Return the absolute URL of the upstream's root at the gateway."""
    return f"{settings.BACKEND_URL}{PREFIX.decode()}/"


def examples(token: str, device: str) -> list[Example]:
    """Return the examples for a token and a device id: a connection test, and one request with curl and in Python."""
    values = {"gateway": gateway(), "token": token, "device": device}
    sources = {"test": _CURL_STATUS, "curl": _CURL, "python": _PYTHON}
    return [Example(name, source.format(**values)) for name, source in sources.items()]
