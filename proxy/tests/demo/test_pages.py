"""The pages and static files of the demo upstream."""

import re

import pytest
from yarl import URL


class TestPages:
    async def test_home_links_to_itself_in_both_forms_and_sets_a_cookie(self, client):
        async with client.get("/", headers={"Host": "zenzefi.example:8443"}) as response:
            page = await response.text()
            assert response.content_type == "text/html"
            assert re.fullmatch(r"[0-9a-f]{16}", response.cookies["demo_session"].value)
        assert "<title>Zenzefi demo server</title>" in page
        assert 'href="/certificates"' in page
        assert 'href="http://zenzefi.example:8443/certificates"' in page
        assert not re.search(r"<script>|<style|style=|\son[a-z]+=", page)

    async def test_home_escapes_the_host(self, client):
        async with client.get("/", headers={"Host": '"><script>alert(1)</script>'}) as response:
            assert "<script>" not in await response.text()

    @pytest.mark.parametrize(
        ("name", "media_type"),
        [("style.css", "text/css"), ("app.js", "text/javascript"), ("favicon.svg", "image/svg+xml")],
    )
    async def test_static_files_are_cached_by_their_tag(self, client, name, media_type):
        async with client.get(f"/static/{name}") as response:
            assert (response.status, response.content_type) == (200, media_type)
            etag = response.headers["ETag"]
        async with client.get(f"/static/{name}", headers={"If-None-Match": f'"other", W/{etag}'}) as response:
            assert (response.status, await response.read()) == (304, b"")

    async def test_home_uses_files_that_exist(self, client):
        async with client.get("/") as response:
            files = set(re.findall(r'"(/static/[^"]+)"', await response.text()))
        assert len(files) == 3
        for file in files:
            async with client.get(file) as response:
                assert response.status == 200

    @pytest.mark.parametrize("name", ["missing.css", "home.html", "..%2fapp.py"])
    async def test_only_the_public_files_are_served(self, client, name):
        async with client.get(URL(f"/static/{name}", encoded=True)) as response:
            assert response.status == 404

    async def test_info_shows_the_cookie_that_came_back(self, client):
        async with client.get("/api/info", headers={"Cookie": "demo_session=abc"}) as response:
            info = await response.json()
        assert info["server"] == "Zenzefi demo server"
        assert info["cookies"] == "demo_session=abc"


class TestAbsolutePaths:
    @pytest.mark.parametrize("policy", ["strict", "nonce", "default"])
    async def test_the_requested_policy(self, client, policy):
        async with client.get(f"/absolute?policy={policy}") as response:
            stated, page = response.headers["Content-Security-Policy"], await response.text()
        assert stated.startswith("default-src")
        assert "$" not in stated + page
        assert ("nonce=" in page) is (policy == "nonce")

    async def test_no_policy_and_an_unknown_policy(self, client):
        async with client.get("/absolute/anything") as response:
            assert "Content-Security-Policy" not in response.headers
        async with client.get("/absolute?policy=lax") as response:
            assert response.status == 400
