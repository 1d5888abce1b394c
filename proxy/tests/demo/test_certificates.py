"""The list and the downloads of certificates of the demo upstream."""

import base64
import re

import pytest

BROWSER_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class TestCertificates:
    async def test_list(self, client):
        async with client.get("/certificates") as response:
            rows = await response.json()
            assert response.headers["Vary"] == "accept"
        assert [row["id"] for row in rows] == list(range(1, 26))
        assert len({row["serial"] for row in rows}) == 25
        assert rows[0] == {
            "id": 1,
            "name": "Workshop backend 01",
            "serial": "CBA1C16035ECA5706EB4",
            "valid_until": "2031-02-21",
        }

    @pytest.mark.parametrize(
        ("accept", "media_type"),
        [
            (BROWSER_ACCEPT, "text/html"),
            ("text/*", "text/html"),
            ("*/*", "application/json"),
            ("application/json, text/html;q=0.9", "application/json"),
            ("text/html;q=nonsense", "application/json"),
        ],
    )
    async def test_page_or_json_as_the_client_prefers(self, client, accept, media_type):
        async with client.get("/certificates", headers={"Accept": accept}) as response:
            assert response.content_type == media_type

    async def test_page_lists_every_certificate(self, client):
        async with client.get("/certificates", headers={"Accept": "text/html"}) as response:
            page = await response.text()
        assert set(re.findall(r'href="/certificates/(\d+)"', page)) == {str(n) for n in range(1, 26)}

    async def test_download_is_the_same_every_time(self, client):
        async with client.get("/certificates/7") as first, client.get("/certificates/7") as second:
            assert first.headers["Content-Disposition"] == 'attachment; filename="certificate-07.pem"'
            pem = await first.text()
            assert await second.text() == pem
        begin, *lines, end = pem.splitlines()
        assert (begin, end) == ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----")
        assert len(base64.b64decode("".join(lines), validate=True)) == 768

    @pytest.mark.parametrize("number", ["0", "26", "01", "x"])
    async def test_unknown_certificate(self, client, number):
        async with client.get(f"/certificates/{number}") as response:
            assert response.status == 404
            assert (await response.json())["error"].startswith(f"There is no certificate {number};")
