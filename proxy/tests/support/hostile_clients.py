"""A client that sends random hostile traffic or has a faulty upstream, and checks how the gateway reacts."""

import contextlib
import re
from collections.abc import Callable, Iterator
from http.client import HTTPException

from proxy.tests.support import hostile_requests, scripted_upstream
from proxy.tests.support.exchange_cases import Case
from proxy.tests.support.raw_client import RawClient, head
from proxy.tests.support.scripted_upstream import Script, Step
from proxy.tests.support.valid_client import ValidClient
from proxy.tests.support.websockets import RawSocket, frame

BROKEN = (HTTPException, ConnectionError)
CHUNKED = b"Transfer-Encoding: chunked"


class HostileClient(ValidClient):
    """A client that also sends hostile traffic, and counts the bytes of interrupted exchanges as possible."""

    # --- Valid requests with a faulty upstream

    def unusual_response(self) -> None:
        with self._faulty(scripted_upstream.unusual_response) as (client, body, script):
            response = client.read_response()
            assert (response.status, response.body) == (200, b"ok"), (response, script.steps)
            assert not {"set-cookie", "x-trailer", "link"} & {name.lower() for name in response.headers}, script.steps
            self.tally.count_bytes(len(body) + 2)

    def response_with_excess(self) -> None:
        with self._faulty(scripted_upstream.response_with_excess) as (client, body, script):
            response = client.read_response()
            is_ok = (response.status, response.body) == (200, b"ok")
            assert response.status == 502 or is_ok, (response, script.steps)
            self.tally.count_at_most(len(body) + 2)

    def invalid_response(self) -> None:
        self._denied(scripted_upstream.invalid_response, 502)

    def late_response(self) -> None:
        self._denied(scripted_upstream.late_response, 504)

    def truncated_response(self) -> None:
        self._breaks_off(scripted_upstream.truncated_response)

    def stalled_response(self) -> None:
        self._breaks_off(scripted_upstream.stalled_response)

    def _denied(self, steps: Callable[..., list[Step]], status: int) -> None:
        with self._faulty(steps) as (client, body, script):
            response = client.read_response()
            assert response.status == status, (response.status, script.steps)
            assert response.headers["X-Zenzefi-Error"].startswith("upstream_")
            self.tally.count_at_most(len(body))

    def _breaks_off(self, steps: Callable[..., list[Step]]) -> None:
        with self._faulty(steps) as (client, body, script):
            try:
                response = client.read_response()
            except BROKEN:
                self.tally.count_at_most(len(body) + script.sent)
            else:
                # The upstream may break off before the gateway has forwarded anything.
                assert response.status == 502, (response.status, script.steps)
                self.tally.count_at_most(len(body))

    @contextlib.contextmanager
    def _faulty(self, steps: Callable[..., list[Step]]) -> Iterator[tuple[RawClient, bytes, Script]]:
        body = self._chance.randbytes(self._chance.choice([0, 0, 20]))
        case = Case("POST" if body else "GET", "/bad", [], body, False, b"")
        with self._connected() as client, self._scripted(case, steps(self._chance)) as (sent, script):
            client.send(self._request(sent))
            yield client, body, script
            assert script.seen, script.steps

    # --- Hostile requests

    def hostile(self, kind: str) -> None:
        sold = self._certificates if kind == "out_of_scope" else self._token
        request = {**hostile_requests.KINDS, **hostile_requests.SLOW_KINDS}[kind](self._chance, sold.headers)
        self.tally.count_at_most(100)
        with self._connected() as client:
            if self._chance.random() < 0.3:  # on a connection that has sent a valid request before
                self._one(client, self._case())
            with contextlib.suppress(ConnectionError):
                client.send(request.data)
            received = _read_all(client, 8 if request.waits else 0.2)
        status = int(found[1]) if (found := re.match(rb"HTTP/1\.1 (\d{3}) ", received)) else 0
        assert status in request.statuses, (status, request.data[:2000], received[:500])
        assert b"HTTP/1.1 500 " not in received, request.data

    # --- WebSockets

    def hostile_socket(self) -> None:
        """Send invalid frames; expect a close frame with the right code, or the end of the connection."""
        chance = self._chance
        big = b"\x82\xff" + (2**62).to_bytes(8, "big") + bytes(4)
        data, codes = chance.choice(
            [
                (b"\x81\x05hello", {1002}), (frame(b"x", 0xC1), {1002}), (frame(b"x", 0xA1), {1002}),
                (frame(b"x", 0x83), {1002}), (frame(b"x", 0x8B), {1002}), (big, {1009}),
                (frame(b"\xff\xfe", 0x81), {1007}), (frame(b"x", 0x09), {1002}), (frame(b"x", 0x80), {1002}),
                (frame(b"x" * 126, 0x89), {1002}), (frame(b"\x03\xed", 0x88), {1002}), (frame(b"\x03", 0x88), {1002}),
                (frame(b"\xff\xff", 0x88), {1002}), (frame(b"\x03\xe8\xff", 0x88), {1002, 1007}),
                (frame(b"x", 0x01) + frame(b"y", 0x01), {1002}),
                (b"GET / HTTP/1.1\r\n\r\n", {1002}), (b"\x00" * 10, {1002}),
            ]
        )  # fmt: skip
        self.tally.count_at_most(100)
        with RawSocket(self._gateway, self._token) as client:
            client.socket.sendall(data)
            closing = client.read_close()
        assert closing is None or closing[0] in codes, (data, closing)

    def hostile_handshake(self) -> None:
        chance = self._chance
        good = [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]  # fmt: skip
        bad = chance.choice(
            [
                good[:3], good[:2] + good[3:], [*good[:3], b"Sec-WebSocket-Key: short"],
                [*good, good[3]], [*good[:2], b"Sec-WebSocket-Version: 12", good[3]], [*good, b"Content-Length: 5"],
                [*good, CHUNKED], [*good, b"Sec-WebSocket-Extensions: ;"], [*good, b"X: a\x0bb"],
                [*good, b"Sec-WebSocket-Protocol: \xff"], [*good, b"Host: h"], [*good, b"X: " + b"x" * 40_000],
            ]
        )  # fmt: skip
        with self._connected() as client:
            client.send(head("GET", hostile_requests.PATH, {"Host": "h", **self._token.headers}, *bad))
            received = _read_all(client, 8)
        # A denial is a response, or a WebSocket that is closed at once.
        assert re.match(rb"HTTP/1\.1 (400|426|431|101) ", received), (bad, received[:500])
        assert not received.startswith(b"HTTP/1.1 101 ") or b"\x11\x30bad_request" in received, (bad, received[:500])

    def socket_that_vanishes(self) -> None:
        with RawSocket(self._gateway, self._token) as client:
            for _ in range(self._chance.randint(0, 5)):
                client.send(self._chance.randbytes(10), 0x82)
                self.tally.count_at_most(20)
            client.socket.sendall(frame(bytes(20), 0x82)[: self._chance.randint(0, 25)])
            self.tally.count_at_most(40)


def _read_all(client: RawClient, patience: float) -> bytes:
    """Read until the connection ends or nothing arrives for `patience` seconds. Return the bytes."""
    client.socket.settimeout(patience)
    received = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while piece := client.socket.recv(65536):
            received += piece
    return received
