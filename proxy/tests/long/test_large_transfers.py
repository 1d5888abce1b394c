"""Memory during large transfers and slow reads, and the delay of events."""

import asyncio
import hashlib
import statistics
import time
from pathlib import Path

import httpx
import pytest

from proxy.demo.transfers import PATTERN, PERIOD
from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import eventually

MIB = 2**20
# The size of the body and the limit on the gateway's growth, both in MiB.
SIZES = [(64, 24), pytest.param(1024, 64, marks=pytest.mark.slow)]
BLOCK = PATTERN[:PERIOD] * 4096


class Memory:
    """The peak growth of a process's memory since the creation of this object."""

    def __init__(self, pid):
        self._status = Path(f"/proc/{pid}/status")
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # reset the peak to the current size (proc(5))
        self._before = self._kib("VmRSS")

    @property
    def growth(self):
        """Return the growth in bytes."""
        return (self._kib("VmHWM") - self._before) * 1024

    def _kib(self, name):
        with self._status.open() as status:
            return next(int(line.split()[1]) for line in status if line.startswith(name))


@pytest.fixture
def start_measured(start_gateway_process, alice_token):
    """Yield a function that starts a gateway process for an upstream and returns it, a client and its memory."""
    clients = []

    def start(upstream):
        gateway = start_gateway_process(upstream.url)
        gateway.wait_ready()
        clients.append(
            httpx.Client(base_url=gateway.proxy_url, headers=alice_token.headers, trust_env=False, timeout=60)
        )
        assert clients[-1].get("/warm").status_code in (200, 404)
        return gateway, clients[-1], Memory(gateway.process.pid)

    yield start
    for client in clients:
        client.close()


def blocks(size):
    """Yield so many bytes of the pattern in pieces."""
    for start in range(0, size, len(BLOCK)):
        yield BLOCK[: size - start]


def sha256(pieces):
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


@pytest.mark.parametrize(("size", "limit"), SIZES)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_download(start_measured, demo_upstream, size, limit, framing):  # case C51
    _gateway, client, memory = start_measured(demo_upstream)
    query = "?chunked=1" if framing == "chunked" else ""
    with client.stream("GET", f"/download/{size}MiB{query}") as response:
        assert response.headers.get("Content-Length") == (None if query else str(size * MIB))
        assert sha256(response.iter_raw()) == sha256(blocks(size * MIB))
    assert memory.growth < limit * MIB


@pytest.mark.parametrize(("size", "limit"), SIZES)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_upload(start_measured, demo_upstream, size, limit, framing):  # case C51
    _gateway, client, memory = start_measured(demo_upstream)
    headers = {"Content-Length": str(size * MIB)} if framing == "length" else {}
    response = client.post("/upload", content=blocks(size * MIB), headers=headers)
    assert response.json() == {"bytes": size * MIB, "sha256": sha256(blocks(size * MIB))}
    assert memory.growth < limit * MIB


def test_a_client_that_does_not_read_pauses_the_upstream(start_measured, recording_upstream, alice_token):  # case C51
    size, sent = 400 * MIB, 0

    async def script(request, connection):
        nonlocal sent
        if request.target == b"/warm":
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return True
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            await connection.send(b"x" * 65536)
            sent += 65536
        return False

    recording_upstream.response = script
    gateway, _client, memory = start_measured(recording_upstream)
    with connected(gateway.port, receive_buffer=65536, timeout=30) as client:
        client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
        assert client.read_head().startswith(b"HTTP/1.1 200 OK\r\n")
        wait_until_still(lambda: sent)
        # The buffers of four sockets hold this much, and the gateway's memory a small part of it.
        assert sent < 48 * MIB
        assert memory.growth < 8 * MIB
        before = sent
        received = 0
        while received < 2 * before:  # the download continues
            received += len(client.receive())
        assert before < sent < received + 48 * MIB
    assert memory.growth < 8 * MIB


def wait_until_still(value):
    """Wait until the value is above zero and has not changed for half a second."""
    seen, since = value(), time.monotonic()

    def is_still():
        nonlocal seen, since
        if value() != seen:
            seen, since = value(), time.monotonic()
        return seen and time.monotonic() - since > 0.5

    eventually(is_still, 20)


class TestRanges:
    SIZE = 64 * MIB

    def part(self, first, last):
        return (PATTERN[first % PERIOD : first % PERIOD + PERIOD] * ((last - first) // PERIOD + 1))[
            : last - first + 1
        ]

    def test_a_range_has_the_right_bytes(self, gateway, alice_token):  # case C48
        client = gateway.client(alice_token)
        etag = client.head("/download/64MiB").headers["ETag"]
        for first, last in [(0, 0), (1, 8 * MIB), (40 * MIB + 7, 56 * MIB), (self.SIZE - 3, self.SIZE - 1)]:
            requested = {"Range": f"bytes={first}-{last}", "If-Range": etag}
            response = client.get("/download/64MiB", headers=requested)
            assert (response.status_code, response.headers["Content-Length"]) == (206, str(last - first + 1))
            assert response.headers["Content-Range"] == f"bytes {first}-{last}/{self.SIZE}"
            assert sha256([response.content]) == sha256([self.part(first, last)])

    def test_an_outdated_copy_gets_the_whole_and_a_range_past_the_end_416(self, gateway, alice_token):  # case C48
        client = gateway.client(alice_token)
        with client.stream("GET", "/download/64MiB", headers={"Range": "bytes=5-9", "If-Range": '"old"'}) as response:
            assert (response.status_code, "Content-Range" in response.headers) == (200, False)
            assert sha256(response.iter_raw()) == sha256(blocks(self.SIZE))
        response = client.get("/download/64MiB", headers={"Range": f"bytes={self.SIZE}-"})
        assert (response.status_code, response.headers["Content-Range"]) == (416, f"bytes */{self.SIZE}")

    def test_several_ranges_in_one_response(self, gateway, recorded, alice_token):  # case C48
        parts = [(0, 4 * MIB), (20 * MIB, 24 * MIB), (self.SIZE - 9, self.SIZE - 1)]
        body = b"".join(
            b"\r\n--sep\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s"
            % (first, last, self.SIZE, self.part(first, last))
            for first, last in parts
        )
        body += b"\r\n--sep--\r\n"
        kind = b"multipart/byteranges; boundary=sep"
        recorded.response = b"HTTP/1.1 206 Partial Content\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (
            kind,
            len(body),
            body,
        )
        requested = "bytes=" + ", ".join(f"{first}-{last}" for first, last in parts)
        response = gateway.client(alice_token).get("/x", headers={"Range": requested})
        assert (response.status_code, response.headers["Content-Type"]) == (206, kind.decode())
        assert sha256([response.content]) == sha256([body])
        assert recorded.last.header(b"range") == requested.encode()


# case C49
def test_a_large_upload_waits_for_its_100_continue(gateway, alice_token):
    size = 8 * MIB
    headers = {"Host": "h", "Content-Length": str(size), "Expect": "100-continue", **alice_token.headers}
    with connected(gateway.port) as client:
        client.send(head("POST", "/api/v1/proxy/upload", headers))
        assert client.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        for block in blocks(size):
            client.send(block)
        assert client.read_response().json() == {"bytes": size, "sha256": sha256(blocks(size))}


def test_an_event_arrives_as_soon_as_it_is_sent(gateway, recorded, alice_token):
    taken = asyncio.Event()
    count = 100

    async def script(_request, connection):
        await connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(count):
            event = b"data: %.6f\n\n" % time.monotonic()
            await connection.send(b"%x\r\n%s\r\n" % (len(event), event))
            await taken.wait()
            taken.clear()
        await connection.send(b"0\r\n\r\n")
        return True

    recorded.response = script
    delays = []
    with gateway.client(alice_token).stream("GET", "/events") as response:
        for event in response.iter_raw():
            delays.append(time.monotonic() - float(event.removeprefix(b"data: ")))
            recorded.call(taken.set)
    assert len(delays) == count
    assert statistics.median(delays) < 0.05
