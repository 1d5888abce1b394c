"""The routes of the demo upstream: unknown paths, methods and HEAD."""

import asyncio

import pytest
from starlette.routing import WebSocketRoute

from proxy.demo.app import application


class TestRouting:
    @pytest.mark.parametrize("path", ["/nowhere", "/certificates/", "/certificates/1/x", "/echoes", "/ws/echo"])
    async def test_unknown_paths(self, client, path):
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
