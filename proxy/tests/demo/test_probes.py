"""Routes of the demo upstream that show requests or simulate faults."""

import base64
import io
import re
import time

import aiohttp
import pytest
from yarl import URL

from proxy.tests.support.servers import eventually_async


class TestEcho:
    async def test_request_comes_back_exactly(self, client):
        url = URL("/echo/a%2Fb%20c;d=%c3%A9?x=1&x=%202+3&empty", encoded=True)
        headers = [("X-Second", "2"), ("X-First", "1"), ("X-Second", "3")]
        async with client.request("PROPFIND", url, headers=headers, data=b"\x00body\xff") as response:
            echo = await response.json()
        assert echo["method"] == "PROPFIND"
        assert echo["path"] == "/echo/a%2Fb%20c;d=%c3%A9"
        assert echo["query"] == "x=1&x=%202+3&empty"
        assert [pair for pair in echo["headers"] if pair[0].startswith("x-")] == [
            ["x-second", "2"],
            ["x-first", "1"],
            ["x-second", "3"],
        ]
        assert base64.b64decode(echo["body_base64"]) == b"\x00body\xff"
        assert echo["body_length"] == 6
        assert echo["client"][0] == "127.0.0.1"

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    async def test_any_method(self, client, method):
        async with client.request(method, "/echo") as response:
            assert (await response.json())["method"] == method

    async def test_body_too_large_to_hold(self, client):
        async with client.post("/echo", data=io.BytesIO(bytes(16 * 1024 * 1024 + 1))) as response:
            assert response.status == 413


class TestEvents:
    async def test_counted_events(self, client):
        async with client.get("/events?interval=0.01&count=3") as response:
            assert response.content_type == "text/event-stream"
            assert response.headers["Cache-Control"] == "no-cache"
            stream = await response.text()
        assert re.findall(r'id: (\d+)\ndata: {"number": (\d+), "time": "[^"]+"}\n\n', stream) == [
            ("1", "1"),
            ("2", "2"),
            ("3", "3"),
        ]

    async def test_each_event_arrives_when_it_is_sent(self, client):
        async with client.get("/events?interval=0.2&count=2") as response:
            await response.content.readuntil(b"\n\n")
            started = time.monotonic()
            await response.content.readuntil(b"\n\n")
        assert time.monotonic() - started > 0.15

    async def test_ends_with_its_client(self, client, upstream):
        response = await client.get("/events?interval=60")
        await response.content.readuntil(b"\n\n")
        assert len(upstream.server_state.tasks) == 1
        response.close()
        await eventually_async(lambda: not upstream.server_state.tasks)

    @pytest.mark.parametrize(
        ("query", "sentence"),
        [
            ("interval=0", "interval must be a number from 0.01 to 60.0."),
            ("interval=nan", "interval must be a number from 0.01 to 60.0."),
            ("interval=", "interval must be a number from 0.01 to 60.0."),
            ("count=1.5", "count must be a whole number from 0 to 1000000."),
            ("count=-1", "count must be a whole number from 0 to 1000000."),
        ],
    )
    async def test_bad_parameters(self, client, query, sentence):
        async with client.get(f"/events?{query}") as response:
            assert (response.status, await response.json()) == (400, {"error": sentence})


class TestFaults:
    async def test_late_headers(self, client):
        started = time.monotonic()
        async with client.get("/slow?seconds=0.2") as response:
            assert time.monotonic() - started > 0.19  # a timer may be early by the clock's resolution
            assert len((await response.text()).splitlines()) == 10

    async def test_late_chunks(self, client):
        async with client.get("/slow?between=0.05") as response:
            assert await response.content.readline() == b"chunk 1 of 10\n"
            first = time.monotonic()
            assert (await response.read()).endswith(b"chunk 10 of 10\n")
        assert time.monotonic() - first > 0.4

    async def test_waiting_ends_with_its_client(self, client, upstream):
        with pytest.raises(TimeoutError):
            await client.get("/slow", timeout=aiohttp.ClientTimeout(total=0.1))
        await eventually_async(lambda: not upstream.server_state.tasks)

    @pytest.mark.parametrize("query", ["seconds=301", "before=-1", "between=x"])
    async def test_bad_waits(self, client, query):
        async with client.get(f"/slow?{query}") as response:
            assert response.status == 400
            assert "must be a number from 0.0 to 300.0." in (await response.json())["error"]

    @pytest.mark.parametrize("code", [200, 204, 205, 304, 404, 418, 500, 503, 599])
    async def test_status(self, client, code):
        async with client.get(f"/status/{code}", allow_redirects=False) as response:
            assert response.status == code
            assert bool(await response.read()) == (code not in {204, 205, 304})
            assert ("Content-Length" in response.headers) == (code not in {204, 304})

    @pytest.mark.parametrize("code", ["100", "199", "600", "2000", "ok", "%C2%B2%C2%B2%C2%B2"])
    async def test_bad_status(self, client, code):
        async with client.get(URL(f"/status/{code}", encoded=True)) as response:
            assert response.status == 400
            assert (await response.json())["error"] == "The status must be a number from 200 to 599."

    async def test_broken_transfer(self, client):
        async with client.get("/fail") as response:
            assert (response.status, response.content_length) == (200, 1000)
            assert await response.content.readexactly(100) == b"x" * 100
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()

    @pytest.mark.parametrize(
        ("query", "location"),
        [
            ("", "/"),
            ("?to=/certificates%3Fa=1%26b=2", "/certificates?a=1&b=2"),
            ("?to=https://x.example/y", None),
        ],
    )
    async def test_redirect(self, client, query, location):
        async with client.get(URL(f"/redirect{query}", encoded=True), allow_redirects=False) as response:
            assert response.status == 302
            assert response.headers["Location"] == (location or "https://x.example/y")

    @pytest.mark.parametrize("target", ["", "/a%0D%0ASet-Cookie:%20x=1", "/%C3%A9", "/" + "a" * 4096])
    async def test_bad_redirect(self, client, target):
        async with client.get(URL(f"/redirect?to={target}", encoded=True), allow_redirects=False) as response:
            assert response.status == 400

    async def test_cookies(self, client):
        async with client.get("/cookies", headers={"Cookie": "plain=1"}) as response:
            lines = response.headers.getall("Set-Cookie")
            content = await response.json()
        assert content == {"received": "plain=1", "set": lines}
        assert len(lines) == 6
        assert "domain=4; Domain=127.0.0.1; Path=/" in lines
