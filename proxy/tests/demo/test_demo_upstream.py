"""The routes of the demo upstream, served by a real server."""

import asyncio
import base64
import hashlib
import io
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import aiohttp
import pytest
import uvicorn
from aiohttp import WSMsgType
from starlette.routing import WebSocketRoute
from yarl import URL

from proxy.demo.app import application
from proxy.demo.transfers import LARGEST, parse_size

BROWSER_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(scope="module")
def upstream() -> Iterator[uvicorn.Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application, port=listener.getsockname()[1], log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield server
    server.should_exit = True
    thread.join(timeout=5)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture
async def client(upstream: uvicorn.Server) -> AsyncIterator[aiohttp.ClientSession]:
    base = f"http://127.0.0.1:{upstream.config.port}"
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(base, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 — the server lives in another thread
            await asyncio.sleep(0.01)


def expected(first: int, last: int) -> bytes:
    return bytes(position % 251 for position in range(first, last + 1))


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


class TestUpload:
    @pytest.mark.parametrize("method", ["POST", "PUT"])
    async def test_stream_is_counted_and_hashed(self, client, method):
        chunk = expected(0, 99_999)

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield chunk

        async with client.request(method, "/upload", data=chunks()) as response:
            result = await response.json()
        assert result == {"bytes": 10_000_000, "sha256": hashlib.sha256(chunk * 100).hexdigest()}

    async def test_no_response_to_a_client_that_leaves(self, client, upstream):
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.config.port)
        writer.write(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        await writer.drain()
        await eventually(lambda: len(upstream.server_state.tasks) == 1)
        writer.close()
        await writer.wait_closed()
        await eventually(lambda: not upstream.server_state.tasks)
        assert await reader.read() == b""


class TestDownload:
    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("0", 0),
            ("12", 12),
            ("12B", 12),
            ("1KB", 1000),
            ("10mb", 10**7),
            ("3GiB", 3 * 2**30),
            ("1TiB", LARGEST),
        ],
    )
    def test_sizes(self, text, size):
        assert parse_size(text) == size

    @pytest.mark.parametrize("text", ["-1", "1.5MB", "1XB", "MB", "2TiB", "1" * 5000])
    async def test_bad_size(self, client, text):
        async with client.get(f"/download/{text}") as response:
            assert response.status == 400
            assert "whole number of bytes" in (await response.json())["error"]

    async def test_whole_content_in_chunks(self, client):
        async with client.get("/download/200KiB") as response:
            assert response.status == 200
            assert response.content_length == 204_800
            assert response.headers["Accept-Ranges"] == "bytes"
            assert await response.read() == expected(0, 204_799)

    async def test_length_left_out(self, client):
        async with client.get("/download/100KB?chunked=1") as response:
            assert response.headers["Transfer-Encoding"] == "chunked"
            assert "Content-Length" not in response.headers
            assert await response.read() == expected(0, 99_999)

    async def test_chunked_takes_a_switch_only(self, client):
        async with client.get("/download/1KB?chunked=yes") as response:
            assert response.status == 400
            assert (await response.json())["error"] == "chunked must be a whole number from 0 to 1."

    @pytest.mark.parametrize(
        ("value", "first", "last"),
        [
            ("bytes=0-0", 0, 0),
            ("bytes=70000-139999", 70_000, 139_999),
            ("bytes=199990-", 199_990, 199_999),
            ("bytes=199990-999999999999", 199_990, 199_999),
            ("bytes=-300", 199_700, 199_999),
            ("Bytes=-999999", 0, 199_999),
        ],
    )
    async def test_range(self, client, value, first, last):
        async with client.get("/download/200KB", headers={"Range": value}) as response:
            assert response.status == 206
            assert response.headers["Content-Range"] == f"bytes {first}-{last}/200000"
            assert response.content_length == last - first + 1
            assert await response.read() == expected(first, last)

    @pytest.mark.parametrize("value", ["bytes=1000-", "bytes=1000-2000", "bytes=-0"])
    async def test_range_outside_of_the_content(self, client, value):
        async with client.get("/download/1KB", headers={"Range": value}) as response:
            assert response.status == 416
            assert response.headers["Content-Range"] == "bytes */1000"

    @pytest.mark.parametrize("value", ["bytes=5-4", "bytes=0-1,5-6", "bytes=-", "bytes=x", "lines=0-1"])
    async def test_range_that_is_ignored(self, client, value):
        async with client.get("/download/1KB", headers={"Range": value}) as response:
            assert (response.status, response.content_length) == (200, 1000)

    async def test_range_of_nothing_is_ignored(self, client):
        async with client.get("/download/0", headers={"Range": "bytes=0-9"}) as response:
            assert (response.status, await response.read()) == (200, b"")

    @pytest.mark.parametrize(("tag", "status"), [('"demo-1000"', 206), ('"demo-2000"', 200), ('W/"demo-1000"', 200)])
    async def test_if_range(self, client, tag, status):
        async with client.get("/download/1KB", headers={"Range": "bytes=0-9", "If-Range": tag}) as response:
            assert response.status == status

    @pytest.mark.parametrize("tag", ['"demo-1000"', "*", 'W/"demo-1000"'])
    async def test_not_modified(self, client, tag):
        headers = {"If-None-Match": tag, "Range": "bytes=0-9"}
        async with client.get("/download/1KB", headers=headers) as response:
            assert (response.status, await response.read()) == (304, b"")
            assert response.headers["ETag"] == '"demo-1000"'

    async def test_head_ignores_a_range(self, client):
        async with client.head("/download/10GB", headers={"Range": "bytes=0-9"}) as response:
            assert (response.status, response.headers["Content-Length"]) == (200, "10000000000")

    async def test_ends_with_its_client(self, client, upstream):
        response = await client.get("/download/1TiB")
        assert await response.content.readexactly(100_000) == expected(0, 99_999)
        response.close()
        await eventually(lambda: not upstream.server_state.tasks)


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
        await eventually(lambda: not upstream.server_state.tasks)

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
        await eventually(lambda: not upstream.server_state.tasks)

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


class TestAbsolutePaths:
    @pytest.mark.parametrize("policy", ["strict", "nonce", "default"])
    async def test_the_policy_that_is_asked_for(self, client, policy):
        async with client.get(f"/absolute?policy={policy}") as response:
            stated, page = response.headers["Content-Security-Policy"], await response.text()
        assert stated.startswith("default-src")
        assert "$" not in stated + page
        assert ("nonce=" in page) is (policy == "nonce")

    async def test_no_policy_and_one_that_is_not_known(self, client):
        async with client.get("/absolute/anything") as response:
            assert "Content-Security-Policy" not in response.headers
        async with client.get("/absolute?policy=lax") as response:
            assert response.status == 400


class TestRouting:
    @pytest.mark.parametrize("path", ["/nowhere", "/certificates/", "/certificates/1/x", "/echoes", "/ws/echo"])
    async def test_nothing_there(self, client, path):
        async with client.get(path) as response:
            assert response.status == 404
            assert "error" in await response.json()

    async def test_health(self, client):
        async with client.get("/health") as response:
            assert await response.json() == {"status": "ok"}

    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("POST", "/", {"GET", "HEAD"}),
            ("DELETE", "/certificates/1", {"GET", "HEAD"}),
            ("GET", "/upload", {"POST", "PUT"}),
        ],
    )
    async def test_wrong_method(self, client, method, path, allow):
        async with client.request(method, path, data=b"ignored") as response:
            assert (response.status, set(response.headers["Allow"].split(", "))) == (405, allow)

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/absolute?policy=strict",
            "/absolute/x",
            "/static/app.js",
            "/api/info",
            "/certificates",
            "/certificates/1",
            "/download/1KB",
            "/echo",
            "/echo/x",
            "/events",
            "/slow?seconds=0",
            "/status/200",
            "/fail",
            "/redirect",
            "/cookies",
            "/health",
        ],
    )
    async def test_head_has_the_response_of_get_without_a_body(self, client, path):
        async with client.head(path, allow_redirects=False) as head:
            assert await head.read() == b""
        async with client.get(path, allow_redirects=False) as get:
            assert head.status == get.status
            assert head.headers.get("Content-Type") == get.headers.get("Content-Type")

    async def test_head_is_tried_on_every_route(self):
        marks = self.test_head_has_the_response_of_get_without_a_body.pytestmark
        paths = {path.partition("?")[0] for mark in marks for path in mark.args[1]}
        http = [route for route in application.routes if not isinstance(route, WebSocketRoute)]
        routes = [route for route in http if "HEAD" in (getattr(route, "methods", None) or ["HEAD"])]
        assert len(routes) == len(paths)
        assert all(any(route.path_regex.fullmatch(path) for path in paths) for route in routes)

    async def test_connection_is_kept_after_a_head(self, upstream):
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.config.port)
        writer.write(b"HEAD /download/1KB HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        responses = await reader.readuntil(b'"ok"')
        assert responses.count(b"HTTP/1.1 200 OK") == 2
        writer.close()
        await writer.wait_closed()


class TestWebSockets:
    async def test_echo_of_text_and_binary(self, client):
        async with client.ws_connect("/ws/echo") as ws:
            assert ws.protocol is None
            for text in ("hello", "", "привет", "close:x"):
                await ws.send_str(text)
                assert await ws.receive_str() == text
            await ws.send_bytes(bytes(range(256)) * 1000)
            assert await ws.receive_bytes() == bytes(range(256)) * 1000

    async def test_subprotocol(self, client):
        async with client.ws_connect("/ws/echo", protocols=["other", "echo.v1"]) as ws:
            assert ws.protocol == "echo.v1"

    @pytest.mark.parametrize(
        ("command", "code", "reason"),
        [
            ("close:4001:out of time", 4001, "out of time"),
            ("close:3000:a:b", 3000, "a:b"),
            ("close:1000", 1000, ""),
            ("close:1013:позже", 1013, "позже"),
        ],
    )
    async def test_close_command(self, client, command, code, reason):
        async with client.ws_connect("/ws/echo") as ws:
            await ws.send_str(command)
            message = await ws.receive()
            assert (message.type, message.data, message.extra or "") == (WSMsgType.CLOSE, code, reason)

    @pytest.mark.parametrize("command", ["close:1006:x", "close:9999", "close:4000:" + "я" * 62])
    async def test_close_that_cannot_be_sent(self, client, command):
        async with client.ws_connect("/ws/echo") as ws:
            await ws.send_str(command)
            assert "cannot be sent" in await ws.receive_str()
            await ws.send_str("still here")
            assert await ws.receive_str() == "still here"

    async def test_echo_ends_with_its_client(self, client, upstream):
        async with client.ws_connect("/ws/echo") as ws:
            await ws.close(code=4002)
        await eventually(lambda: not upstream.server_state.tasks)

    async def test_ticker(self, client, upstream):
        async with client.ws_connect("/ws/ticker?interval=0.02") as ws:
            messages = [await ws.receive_json() for _ in range(3)]
        assert [message["number"] for message in messages] == [1, 2, 3]
        await eventually(lambda: not upstream.server_state.tasks)

    async def test_ticker_ends_when_its_client_vanishes(self, client, upstream):
        ws = await client.ws_connect("/ws/ticker?interval=60")
        await ws.receive()
        ws._response.connection.transport.abort()
        await eventually(lambda: not upstream.server_state.tasks)

    @pytest.mark.parametrize(("path", "status"), [("/ws/other", 403), ("/", 403), ("/ws/ticker?interval=0", 400)])
    async def test_denial(self, client, path, status):
        with pytest.raises(aiohttp.WSServerHandshakeError) as denial:
            await client.ws_connect(path)
        assert denial.value.status == status
