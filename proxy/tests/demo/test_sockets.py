"""The WebSockets of the demo upstream."""

import aiohttp
import pytest
from aiohttp import WSMsgType

from proxy.tests.support.servers import eventually_async


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
        await eventually_async(lambda: not upstream.server_state.tasks)

    async def test_ticker(self, client, upstream):
        async with client.ws_connect("/ws/ticker?interval=0.02") as ws:
            messages = [await ws.receive_json() for _ in range(3)]
        assert [message["number"] for message in messages] == [1, 2, 3]
        await eventually_async(lambda: not upstream.server_state.tasks)

    async def test_ticker_ends_when_its_client_vanishes(self, client, upstream):
        ws = await client.ws_connect("/ws/ticker?interval=60")
        await ws.receive()
        ws._response.connection.transport.abort()
        await eventually_async(lambda: not upstream.server_state.tasks)

    @pytest.mark.parametrize(("path", "status"), [("/ws/other", 403), ("/", 403), ("/ws/ticker?interval=0", 400)])
    async def test_denial(self, client, path, status):
        with pytest.raises(aiohttp.WSServerHandshakeError) as denial:
            await client.ws_connect(path)
        assert denial.value.status == status
