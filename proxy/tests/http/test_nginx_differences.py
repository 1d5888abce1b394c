"""The same requests through Debian's nginx and through the gateway, and the differences between the two.

The allowed differences, with their reasons, are in docs/proxy/nginx-differences.md.
"""

import re

import pytest

from proxy.tests.support import nginx
from proxy.tests.support.exchange_cases import Generator
from proxy.tests.support.nginx_differences import RULES, differences, seen_by_client, seen_by_upstream
from proxy.tests.support.raw_client import connected
from zenzefi.tests.support.command import ROOT, free_port

CASES = 200
SITE = """
server {{
    listen 127.0.0.1:{port};
    client_max_body_size 0;
    large_client_header_buffers 8 32k;
    location / {{
        proxy_pass http://127.0.0.1:{upstream};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_pass_header Server;
        proxy_pass_header Date;
    }}
}}
"""


@pytest.fixture
def plain_nginx(tmp_path, recording_upstream):
    """Yield the port of an nginx in front of the recording upstream."""
    port = free_port()
    with nginx.running(tmp_path, SITE.format(port=port, upstream=recording_upstream.port), port):
        yield port


@pytest.mark.skipif(nginx.NGINX is None, reason="needs nginx")
@pytest.mark.parametrize("seed", [1])
def test_every_difference_is_allowed_and_every_allowance_is_needed(gateway, recorded, plain_nginx, alice_token, seed):
    generator = Generator(seed)
    found = []
    for number in range(CASES):
        case = generator.case()

        async def script(_request, connection, case=case):
            await connection.send(case.response)
            return b"Connection: close" not in case.response

        recorded.response = script
        sides = []
        for port, prefix in ((gateway.port, "/api/v1/proxy"), (plain_nginx, "")):
            with connected(port) as client:
                client.send(case.request(prefix, alice_token.headers))
                response = client.read_response(case.method)
            sides.append((seen_by_upstream(recorded.last), seen_by_client(response)))
        assert len(recorded.requests) == 2 * (number + 1)
        for where, gateway_saw, nginx_saw in zip(("request", "response"), *sides, strict=True):
            found += [(case, difference) for difference in differences(where, gateway_saw, nginx_saw)]
    allowed = [rule for rules in RULES.values() for rule in rules]
    unlisted = [(one.method, one.target, d) for one, d in found if not any(map(d.is_allowed_by, allowed))]
    assert unlisted == []
    assert [rule for rule in allowed if not any(d.is_allowed_by(rule) for _, d in found)] == []


def test_the_allowed_differences_are_documented():
    page = (ROOT / "docs/proxy/nginx-differences.md").read_text()
    assert re.findall(r"^\| \*\*(.+?)\*\* \|", page, re.MULTILINE) == list(RULES)
