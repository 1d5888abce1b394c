"""A client that does what is wrong at random, or meets an upstream that does; and checks what comes of it."""

import contextlib
import re
from collections.abc import Callable, Iterator
from http.client import HTTPException

from proxy.tests.support import hostile_requests, scripted_upstream
from proxy.tests.support.exchange_cases import Case
from proxy.tests.support.raw_client import RawClient, head
from proxy.tests.support.scripted_upstream import Script, Step
from proxy.tests.support.valid_client import Visitor
from proxy.tests.support.websockets import RawSocket, frame

BROKEN = (HTTPException, ConnectionError)
CHUNKED = b"Transfer-Encoding: chunked"


class HostileVisitor(Visitor):
    """Counts what may have been carried of what broke off."""

    # --- Requests that the upstream answers badly

    def odd_answer(self) -> None:
        with self._badly(scripted_upstream.odd_answer) as (client, body, script):
            answer = client.read_response()
            assert (answer.status, answer.body) == (200, b"ok"), (answer, script.steps)
            assert not {"set-cookie", "x-trailer", "link"} & {name.lower() for name in answer.headers}, script.steps
            self.tally.count_bytes(len(body) + 2)

    def answer_with_more(self) -> None:
        with self._badly(scripted_upstream.answer_with_more) as (client, body, script):
            answer = client.read_response()
            assert answer.status == 502 or (answer.status, answer.body) == (200, b"ok"), (answer, script.steps)
            self.tally.may_be_carried(len(body) + 2)

    def refused_answer(self) -> None:
        self._denied(scripted_upstream.refused_answer, 502)

    def late_answer(self) -> None:
        self._denied(scripted_upstream.late_answer, 504)

    def broken_answer(self) -> None:
        self._breaks_off(scripted_upstream.broken_answer)

    def stalled_answer(self) -> None:
        self._breaks_off(scripted_upstream.stalled_answer)

    def _denied(self, misbehaves: Callable[..., list[Step]], status: int) -> None:
        with self._badly(misbehaves) as (client, body, script):
            answer = client.read_response()
            assert answer.status == status, (answer.status, script.steps)
            assert answer.headers["X-Zenzefi-Error"].startswith("upstream_")
            self.tally.may_be_carried(len(body))

    def _breaks_off(self, misbehaves: Callable[..., list[Step]]) -> None:
        with self._badly(misbehaves) as (client, body, script):
            try:
                answer = client.read_response()
            except BROKEN:
                self.tally.may_be_carried(len(body) + script.sent)
            else:
                # An upstream may break off so fast that nothing of it has been passed on.
                assert answer.status == 502, (answer.status, script.steps)
                self.tally.may_be_carried(len(body))

    @contextlib.contextmanager
    def _badly(self, misbehaves: Callable[..., list[Step]]) -> Iterator[tuple[RawClient, bytes, Script]]:
        body = self._chance.randbytes(self._chance.choice([0, 0, 20]))
        case = Case("POST" if body else "GET", "/bad", [], body, False, b"")
        with self._connected() as client, self._told(case, misbehaves(self._chance)) as (told, script):
            client.send(self._request(told))
            yield client, body, script
            assert script.seen, script.steps

    # --- Requests that nobody should send

    def hostile(self, kind: str) -> None:
        sold = self._certificates if kind == "out_of_scope" else self._token
        request = {**hostile_requests.KINDS, **hostile_requests.SLOW_KINDS}[kind](self._chance, sold.headers)
        self.tally.may_be_carried(100)
        with self._connected() as client:
            if self._chance.random() < 0.3:  # on a connection that was good so far
                self._one(client, self._case())
            with contextlib.suppress(ConnectionError):
                client.send(request.data)
            came = _all_of(client, 8 if request.waits else 0.2)
        status = int(found[1]) if (found := re.match(rb"HTTP/1\.1 (\d{3}) ", came)) else 0
        assert status in request.statuses, (status, request.data[:2000], came[:500])
        assert b"HTTP/1.1 500 " not in came, request.data

    # --- WebSockets

    def hostile_socket(self) -> None:
        """Frames that are none: a close frame that says why, or an end."""
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
        self.tally.may_be_carried(100)
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
            came = _all_of(client, 8)
        # A denial is an answer, or a WebSocket that is closed at once.
        assert re.match(rb"HTTP/1\.1 (400|426|431|101) ", came), (bad, came[:500])
        assert not came.startswith(b"HTTP/1.1 101 ") or b"\x11\x30bad_request" in came, (bad, came[:500])

    def socket_that_vanishes(self) -> None:
        with RawSocket(self._gateway, self._token) as client:
            for _ in range(self._chance.randint(0, 5)):
                client.send(self._chance.randbytes(10), 0x82)
                self.tally.may_be_carried(20)
            client.socket.sendall(frame(bytes(20), 0x82)[: self._chance.randint(0, 25)])
            self.tally.may_be_carried(40)


def _all_of(client: RawClient, patience: float) -> bytes:
    """What comes until the end, or until nothing comes for so many seconds."""
    client.socket.settimeout(patience)
    came = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while piece := client.socket.recv(65536):
            came += piece
    return came
