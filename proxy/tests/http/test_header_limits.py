"""Header blocks that are too large or too slow, on both planes and for WebSockets; and what else never ends."""

import asyncio
import contextlib
import re
import resource
import socket
import threading
import time

import pytest

from proxy.dataplane.server.http_protocol import GatewayProtocol
from proxy.tests.support.assertions import FIELDS_TOO_LARGE, assert_denied
from proxy.tests.support.raw_client import connected, exchange, head
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import connections_to, handshake, open_socket, resident_bytes

pytestmark = pytest.mark.embedded

LIMIT = 8192
CHUNKED = b"Transfer-Encoding: chunked"


def assert_too_large(response):
    assert (response.status, response.json()) == (431, FIELDS_TOO_LARGE)
    assert (response.headers["X-Zenzefi-Error"], response.headers["Connection"]) == ("bad_request", "close")


@pytest.fixture
def limited(gateway, recorded):
    """The gateway with small limits, in front of the recording upstream."""
    gateway.restart(MAX_HEADER_BYTES=LIMIT, HEADER_TIMEOUT_SECONDS=1)
    return gateway


class TestTooLarge:
    # case G80
    @pytest.mark.parametrize("path", ["/api/v1/proxy/x", "/api/v1/tariffs", "/health/live"])
    def test_the_limit_is_exact_and_the_same_everywhere(self, limited, recorded, alice_token, path):
        given = {"Host": "127.0.0.1", **alice_token.headers, "X": ""}
        room = LIMIT - len(head("GET", path, given)) + len(b"GET  HTTP/1.1\r\n\r\n")
        assert exchange(limited.port, head("GET", path, {**given, "X": "x" * room})).status == 200
        assert_too_large(exchange(limited.port, head("GET", path, {**given, "X": "x" * (room + 1)})))
        assert_too_large(exchange(limited.port, head("GET", path + "?" + "q" * LIMIT, given)))
        many = [b"X-%d: x" % number for number in range(1000)]
        assert_too_large(exchange(limited.port, head("GET", path, given, *many)))
        assert all(len(request.raw) < LIMIT + 400 for request in recorded.requests)

    def test_the_limit_is_the_same_behind_another_request(self, limited, recorded, alice_token):
        """What of a block has come with the end of another request counts, too."""
        given = {"Host": "h", **alice_token.headers}
        for body in (b"", b"body"):
            first = head("POST", "/api/v1/proxy/first", {**given, "Content-Length": len(body)}) + body
            for size, status in ((LIMIT - 500, 200), (LIMIT, 431), (100_000, 431)):
                last = head("GET", "/api/v1/proxy/last", {**given, "X": "x" * size})
                with connected(limited.port) as client:
                    client.send(first + last[:-2])
                    assert client.read_response("POST").status == 200
                    client.send(last[-2:])
                    assert client.read_response().status == status
        assert all(len(request.raw) < LIMIT + 400 for request in recorded.requests)

    @pytest.mark.parametrize("line", [b"GET /api/v1/proxy/", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nX"])
    def test_a_block_without_an_end_is_refused_at_the_limit(self, limited, recorded, line):
        with connected(limited.port) as client:
            client.send(line + b"x" * (LIMIT - len(line)))
            client.send(b"x")
            assert_too_large(client.read_response())
            assert client.is_closed()
        assert recorded.connections == 0

    def test_blank_lines_without_an_end(self, limited):
        with connected(limited.port) as client:
            client.send(b"\r\n" * LIMIT)
            assert_too_large(client.read_response())

    def test_who_still_sends_gets_to_read_why(self, limited):
        """Closed at once, the connection would be reset, and the answer lost."""
        with connected(limited.port) as client:
            client.send(b"GET /")
            for _ in range(100):
                client.send(b"x" * 65_536)
            assert_too_large(client.read_response())

    def test_a_websocket(self, limited, recorded, alice_token):
        assert_too_large(exchange(limited.port, handshake(alice_token, "/ws", b"X: " + b"x" * LIMIT)))
        assert recorded.connections == 0

    def test_bodies_and_further_requests_do_not_count(self, limited, recorded, alice_token):
        body = b"x" * 1_000_000
        request = head("POST", "/api/v1/proxy/x", {"Host": "h", "Content-Length": len(body), **alice_token.headers})
        with connected(limited.port) as client:
            for _ in range(3):
                client.send(request + body)
                assert client.read_response().status == 200
            last = request.replace(b"Host: h", b"Host: h\r\nConnection: close")
            client.send(request + body + request + body + last + body)
            assert client.read_rest().count(b"HTTP/1.1 200 OK\r\n") == 3
        assert [request.body for request in recorded.requests] == [body] * 6

    # case C34
    def test_trailers(self, limited, recorded, alice_token):
        request = head("POST", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}, CHUNKED)
        for trailers in (b"".join(b"X: %d\r\n" % number for number in range(10_000)), b"X: " + b"x" * LIMIT):
            assert_too_large(exchange(limited.port, request + b"0\r\n" + trailers + b"\r\n\r\n", "POST"))
            with connected(limited.port) as client:
                client.send(request + b"1\r\nx\r\n")
                eventually(lambda: len(limited.plane.in_flight) == 1)
                client.send(b"0\r\n" + trailers + b"\r\n\r\n")
                assert_too_large(client.read_response("POST"))
        assert not [request for request in recorded.requests if request.body.endswith(b"0\r\n\r\n")]

    def test_trailers_do_not_count_for_the_next_request(self, limited, alice_token):
        request = head("POST", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}, CHUNKED)
        following = head("GET", "/api/v1/proxy/x", {"Host": "h", "X": "x" * 6000, **alice_token.headers})
        with connected(limited.port) as client:
            client.send(request + b"1\r\nx\r\n")
            eventually(lambda: len(limited.plane.in_flight) == 1)
            client.send(b"0\r\nX: " + b"x" * 6000 + b"\r\n\r\n")
            assert client.read_response("POST").status == 200
            client.send(following[:4000])
            assert not _comes(client.socket)
            client.send(following[4000:])
            assert client.read_response().status == 200

    def test_trailers_and_chunk_extensions_without_an_end(self, limited, alice_token):
        request = head("POST", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}, CHUNKED)
        for begun in (b"0\r\nX: ", b"1;x="):
            with connected(limited.port) as client:
                client.send(request)
                eventually(lambda: len(limited.plane.in_flight) == 1)
                client.send(begun + b"x" * 2 * LIMIT)
                assert_too_large(client.read_response("POST"))
            eventually(lambda: len(limited.plane.in_flight) == 0)


class TestPipelined:
    """Requests that are sent before those ahead of them are answered."""

    @pytest.fixture
    def waiting(self, monkeypatch):
        """How many requests wait, and how many of those ahead of them are kept, whenever one has come."""
        seen = [(0, 0)]
        wait_behind = GatewayProtocol._queue_behind

        def wait_and_see(connection, previous):
            wait_behind(connection, previous)
            seen.append((len(connection.pipeline), len(connection._earlier)))

        monkeypatch.setattr(GatewayProtocol, "_queue_behind", wait_and_see)
        return seen

    @pytest.mark.parametrize("path", ["/api/v1/proxy/x", "/health/live"])
    @pytest.mark.parametrize("body", [b"", b"x"])
    def test_who_sends_faster_than_answers_come_is_not_read(self, gateway, waiting, path, body):
        """uvicorn would read on with each answer, however many wait."""
        given = {"Host": "127.0.0.1", "X": "x" * 400, "Content-Length": len(body)}
        request = head("GET", path, given) + body
        last = head("GET", path, {"Host": "127.0.0.1", "Connection": "close"})
        with connected(gateway.port, timeout=30) as client:
            sender = threading.Thread(target=client.send, args=(request * 5000 + last,))
            sender.start()
            responses = client.read_rest()
            sender.join()
        assert responses.count(b"HTTP/1.1 ") == 5001
        assert max(number for numbers in waiting for number in numbers) < 1000

    def test_a_segment_full_of_the_smallest(self, gateway, waiting):
        """Thousands fit in one, and each holds everybody up while it is read."""
        request = b"GET /api/v1/proxy/x HTTP/1.1\r\nHost: h\r\n\r\n"
        with connected(gateway.port) as client:
            with contextlib.suppress(ConnectionError):
                client.send(request * 100_000)
            with contextlib.suppress(ConnectionError):
                assert client.read_rest().count(b"HTTP/1.1 ") < 10_000
        assert max(number for numbers in waiting for number in numbers) <= 1001

    @pytest.mark.parametrize(
        ("behind", "status"),
        [
            (b"nonsense\r\n\r\n", 400),
            (b"GET /api/v1/proxy/x HTTP/1.1\r\nX: " + b"x" * 100_000, 431),
            (head("GET", "http://h/", {"Host": "h"}), 400),
            (head("POST", "/api/v1/proxy/x", {"Host": "h"}, CHUNKED) + b"x\r\n", 400),
            (head("POST", "/api/v1/proxy/x", {"Host": "h"}, CHUNKED) + b"0\r\nX: " + b"x" * 100_000, 431),
        ],
    )
    @pytest.mark.parametrize("apart", [False, True])
    def test_what_is_refused_behind_them_costs_no_answer(self, limited, recorded, alice_token, behind, status, apart):
        """Nor does what follows it, of which nothing is read."""

        async def begins_late(request, connection):
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            await asyncio.sleep(0.2)
            await connection.send(request.target[-5:])
            return True

        recorded.response = begins_late
        given = {"Host": "h", **alice_token.headers}
        ahead = head("GET", "/api/v1/proxy/first", given) + head("GET", "/api/v1/proxy/other", given)
        with connected(limited.port) as client:
            client.send(ahead + (b"" if apart else behind))
            if apart:
                eventually(lambda: len(recorded.requests) == 1)
                client.send(behind)
            with contextlib.suppress(ConnectionError):
                client.send(head("GET", "/api/v1/proxy/never", given) * 10)
            first, other, refusal = client.read_rest().split(b"HTTP/1.1 ")[1:]
        assert [(response[:3], response[-5:]) for response in (first, other)] == [
            (b"200", b"first"),
            (b"200", b"other"),
        ]
        assert refusal.startswith(b"%d " % status)
        assert b"connection: close" in refusal.lower()
        assert [request.target for request in recorded.requests] == [b"/first", b"/other"]
        assert limited.plane.metrics.denials["bad_request"] == 1

    def test_a_client_that_leaves_behind_them_is_seen_to(self, gateway, recorded, alice_token):
        async def begins(request, connection):
            if request.target == b"/last":
                await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
                await connection.wait_closed()
            else:
                await asyncio.sleep(0.2)
                await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return True

        recorded.response = begins
        with connected(gateway.port) as client:
            given = {"Host": "h", **alice_token.headers}
            client.send(head("GET", "/api/v1/proxy/first", given) + head("GET", "/api/v1/proxy/last", given))
            eventually(lambda: len(recorded.requests) == 2)
        eventually(lambda: len(gateway.plane.in_flight) == 0, seconds=2)


@pytest.mark.parametrize(
    "field", ["x{}{}: 1", "Accept-Language: x{}{}", "Cookie: zenzefi_access={}{}", "X-Any: {}{}"]
)
def test_what_strangers_send_is_not_kept(start_gateway_process, recording_upstream, field):
    """Whatever is remembered of headers is short, as it is remembered for whoever asks."""
    process = start_gateway_process(recording_upstream.url)
    process.wait_ready()

    def ask(number):
        line = field.format(number, "y" * 30_000).encode()
        with connected(process.port) as client:
            client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", "Connection": "close"}, line))
            assert client.read_rest().startswith(b"HTTP/1.1 401 ")

    for number in range(20):
        ask(number)
    before = resident_bytes(process.process.pid)
    for number in range(20, 1000):
        ask(number)
    assert resident_bytes(process.process.pid) - before < 6 * 2**20


class TestWhatWasSaidBefore:
    """A refusal while the request is read is for the caller who has said who she is, and in which language."""

    ASKS = {"Host": "h", "X-Request-ID": "number-0001", "Accept-Language": "ru"}

    def assert_is_for_her(self, response, status):
        assert (response.status, response.headers["X-Request-ID"]) == (status, "number-0001")
        assert re.search("[а-я]", response.json()["detail"])

    @pytest.mark.parametrize(
        ("more", "status"),
        [
            (b"X: a\x00b\r\n\r\n", 400),
            (b"X: " + b"x" * 2 * LIMIT, 431),
            (b"X: ", 408),
            (CHUNKED + b"\r\n\r\nx\r\n", 400),
        ],
    )
    def test_it_is_heeded(self, limited, more, status):
        with connected(limited.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", self.ASKS)[:-2] + more)
            self.assert_is_for_her(client.read_response("POST"), status)

    def test_of_a_body(self, limited, alice_token):
        with connected(limited.port) as client:
            client.send(
                head("POST", "/api/v1/proxy/x", {**self.ASKS, **alice_token.headers}, CHUNKED) + b"1\r\nx\r\n"
            )
            eventually(lambda: len(limited.plane.in_flight) == 1)
            client.send(b"x\r\n")
            self.assert_is_for_her(client.read_response("POST"), 400)

    @pytest.mark.parametrize(("more", "status"), [(b"\r\n", 408), (b"GET / HTTP/1.1\r\nX", 408), (b"x\r\n", 400)])
    def test_the_request_before_is_another(self, limited, more, status):
        with connected(limited.port) as client:
            client.send(head("GET", "/api/v1/proxy/x", self.ASKS))
            assert client.read_response().headers["X-Request-ID"] == "number-0001"
            client.send(more)
            response = client.read_response()
            assert response.status == status
            assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])


class TestTooSlow:
    @pytest.mark.parametrize("sent", [b"G", b"GET /api/v1/tariffs HTTP/1.1\r\nHost: h\r\nX", b"\r\n"])
    def test_what_has_begun_gets_408(self, limited, sent):
        with connected(limited.port) as client:
            started = time.monotonic()
            client.send(sent)
            response = client.read_response()
            assert_denied(response, "request_timeout")
            assert response.headers["Connection"] == "close"
            assert client.is_closed()
            assert time.monotonic() - started > 0.9

    def test_a_websockets_handshake(self, limited, recorded, alice_token):
        with connected(limited.port) as client:
            client.send(handshake(alice_token, "/ws")[:-2])
            assert_denied(client.read_response(), "request_timeout")
        assert recorded.connections == 0

    def test_a_connection_without_a_byte_is_closed_without_one(self, limited):
        with connected(limited.port) as client:
            assert client.read_rest() == b""

    def test_further_bytes_gain_no_time(self, limited):
        with connected(limited.port) as client:
            started = time.monotonic()
            client.send(b"GET / HTTP/1.1\r\nX: ")
            client.socket.settimeout(0.1)
            while not _comes(client.socket):
                client.send(b"x")
                assert time.monotonic() - started < 8
            client.socket.settimeout(8)
            assert_denied(client.read_response(), "request_timeout")

    def test_each_request_of_a_connection_has_its_own_time(self, limited, alice_token):
        request = head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers})
        with connected(limited.port) as client:
            for _ in range(4):
                client.send(request[:20])
                assert not _comes(client.socket, seconds=0.3)
                client.send(request[20:])
                assert client.read_response().status == 200
            client.send(request[:20])
            assert_denied(client.read_response(), "request_timeout")

    def test_a_request_that_began_behind_one_that_is_answered(self, limited, recorded, alice_token):
        """It has the time of any other, longer or shorter than that of an idle connection."""

        async def late(_request, connection):
            await asyncio.sleep(0.2)
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        recorded.response = late
        request = head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers})
        for pieces in ([request + request[:40]], [request, request[:40]]):
            with connected(limited.port) as client:
                for piece in pieces:
                    client.send(piece)
                    time.sleep(0.05)
                assert client.read_response().status == 200
                answered = time.monotonic()
                assert_denied(client.read_response(), "request_timeout")
                assert 0.7 < time.monotonic() - answered < 4
        limited.restart(HEADER_TIMEOUT_SECONDS=8)
        with connected(limited.port) as client:
            client.send(request + request[:40])
            assert client.read_response().status == 200
            assert not _comes(client.socket, seconds=5.5)  # an idle connection is closed after 5 s
            client.send(request[40:])
            assert client.read_response().status == 200

    def test_an_answer_may_take_longer(self, limited, recorded, alice_token):
        async def late(_request, connection):
            await asyncio.sleep(1.5)
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        recorded.response = late
        assert limited.client(alice_token).post("/x", content=b"x").status_code == 200

    def test_an_open_websocket_is_not_concerned(self, gateway, socket_upstream, alice_token):
        gateway.restart(HEADER_TIMEOUT_SECONDS=0.5)
        with open_socket(gateway, "/ws", alice_token) as client:
            with pytest.raises(TimeoutError):
                client.recv(timeout=1)
            client.send("hello")
            assert client.recv(timeout=5) == "hello"

    # case G81
    def test_the_rest_of_a_body_whose_request_was_answered(self, limited, alice_token):
        """uvicorn's keep-alive timeout ends with the next byte."""
        with connected(limited.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", {"Host": "h", "Content-Length": "1000"}) + b"x")
            assert client.read_response("POST").status == 401
            client.socket.settimeout(0.1)
            for _ in range(80):
                if _comes(client.socket):
                    break
                client.send(b"x")
            assert client.read_rest() == b""

    @pytest.mark.parametrize("rest", [b"x\r\n", b"5", b"0\r\nX: ", b"0\r\nX: " + b"x" * 2 * LIMIT])
    def test_the_rest_of_a_body_is_never_answered_once_more(self, limited, rest):
        """Whoever asks again on this connection would take it for the answer."""
        with connected(limited.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", {"Host": "h"}, CHUNKED))
            assert client.read_response("POST").status == 401
            client.send(rest)
            with contextlib.suppress(ConnectionResetError):
                assert client.read_rest() == b""

    def test_what_comes_behind_such_a_body_is(self, limited):
        with connected(limited.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", {"Host": "h"}, CHUNKED))
            assert client.read_response("POST").status == 401
            client.send(b"5\r\n12345\r\n0\r\n\r\nnonsense\r\n\r\n")
            assert_denied(client.read_response(), "bad_request")

    # cases C53, G76
    def test_a_thousand_half_sent_requests(self, gateway, recorded, alice_token):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
        gateway.restart(HEADER_TIMEOUT_SECONDS=6)
        request = head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers})
        started = time.monotonic()
        slow = [socket.create_connection(("127.0.0.1", gateway.port), timeout=20) for _ in range(1000)]
        try:
            for number, connection in enumerate(slow):
                connection.sendall(request[: 1 + number % (len(request) - 1)])
            times = []
            while time.monotonic() - started < 3:
                asked = time.monotonic()
                assert gateway.client(alice_token).get("/x").status_code == 200
                times.append(time.monotonic() - asked)
            assert connections_to(gateway.port) >= 1000
            assert max(times) < 2
            responses = [connection.recv(65536)[:12] for connection in slow]
            assert responses == [b"HTTP/1.1 408"] * 1000
            assert 5.9 < time.monotonic() - started < 15
            eventually(lambda: connections_to(gateway.port) < 100)
        finally:
            for connection in slow:
                connection.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert {request.target for request in recorded.requests} == {b"/x"}
        assert gateway.plane.metrics.denials["request_timeout"] == 1000


def _comes(connection, seconds=0.1):
    """Whether anything, or the end, comes in this time; it stays unread."""
    connection.settimeout(seconds)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return False
    finally:
        connection.settimeout(8)
    return True
