"""Uploads and downloads of the demo upstream."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from proxy.demo.transfers import LARGEST, parse_size
from proxy.tests.support.downloads import download_part
from proxy.tests.support.servers import eventually_async


class TestUpload:
    @pytest.mark.parametrize("method", ["POST", "PUT"])
    async def test_stream_is_counted_and_hashed(self, client, method):
        chunk = download_part(0, 99_999)

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
        await eventually_async(lambda: len(upstream.server_state.tasks) == 1)
        writer.close()
        await writer.wait_closed()
        await eventually_async(lambda: not upstream.server_state.tasks)
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
            assert await response.read() == download_part(0, 204_799)

    async def test_length_left_out(self, client):
        async with client.get("/download/100KB?chunked=1") as response:
            assert response.headers["Transfer-Encoding"] == "chunked"
            assert "Content-Length" not in response.headers
            assert await response.read() == download_part(0, 99_999)

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
            assert await response.read() == download_part(first, last)

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
        assert await response.content.readexactly(100_000) == download_part(0, 99_999)
        response.close()
        await eventually_async(lambda: not upstream.server_state.tasks)
