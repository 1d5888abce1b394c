"""Chunks of every form, and responses before the end of an upload: each is a response or a denial in time."""

import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dataplane.upstream.chunks import ChunkedBody
from proxy.dataplane.upstream.errors import InvalidResponse
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.clock import running_seconds
from proxy.tests.support.raw_client import connected, exchange, head
from proxy.tests.support.servers import eventually

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
VALID = {
    "plain": b"5\r\nhello\r\n" + END,
    "padded by a space": b"5 \r\nhello\r\n0 \r\n\r\n",
    "padded by spaces": b"5     \r\nhello\r\n0  \r\n\r\n",
    "padded by a tab": b"5\t\r\nhello\r\n" + END,
    "leading zeros": b"000000005\r\nhello\r\n000\r\n\r\n",
    "an extension": b'5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n',
    "an extension after a space": b"5 ; a=b\r\nhello\r\n" + END,
    "a long extension": b"5;" + b"x" * 10_000 + b"\r\nhello\r\n" + END,
    "a trailer": b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\nSet-Cookie: a=1\r\n\r\n",
    "small chunks": b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n2\r\nlo\r\n" + END,
}
INVALID = {
    "0x": b"0x5\r\nhello\r\n" + END,
    "a minus": b"-5\r\nhello\r\n" + END,
    "a plus": b"+5\r\nhello\r\n" + END,
    "a space before": b" 5\r\nhello\r\n" + END,
    "no size": b"\r\nhello\r\n" + END,
    "no size but an extension": b";x\r\nhello\r\n" + END,
    "no number": b"zz\r\nhello\r\n" + END,
    "two numbers": b"5 5\r\nhello\r\n" + END,
    "lone LF lines": b"5\nhello\n0\n\n",
    "a lone CR": b"5\rhello\r0\r\r",
    "2**64 - 1": b"ffffffffffffffff\r\nhello",
    "2**64": b"10000000000000000\r\nhello",
    "2**48": b"1000000000000\r\nhello",
    "an endless size": b"0" * 20_000,
    "a size without an end": b"f" * 13,
    "too much data": b"5\r\nhello!\r\n" + END,
    "no end of the data": b"5\r\nhello5\r\nhello\r\n" + END,
    "a control in an extension": b"5;\x00\r\nhello\r\n" + END,
    "an endless extension": b"5;" + b"x" * 20_000,
    "a trailer without a colon": b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
    "a response as a trailer": b"5\r\nhello\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n",
    "an endless trailer": b"5\r\nhello\r\n0\r\nX: " + b"x" * 20_000,
    "endless trailers": b"5\r\nhello\r\n0\r\n" + b"X: x\r\n" * 20_000,
}


def decode(pieces):
    """Return the body of these pieces, the data behind it, and whether it is complete."""
    chunked, body, rest = ChunkedBody(), b"", b""
    for piece in pieces:
        parts, rest = chunked.feed(piece)
        body += b"".join(parts)
    return body, rest, chunked.complete


def in_steps(data, step):
    return [data[start : start + step] for start in range(0, len(data), step)]


# case G81
@pytest.mark.parametrize("form", VALID)
def test_a_valid_form_in_every_cut(form):
    for step in (1, 2, 3, 7, len(VALID[form])):
        assert decode(in_steps(VALID[form], step)) == (b"hello", b"", True)
    assert decode([VALID[form] + b"more"]) == (b"hello", b"more", True)


# case G81
@pytest.mark.parametrize("form", INVALID)
@pytest.mark.parametrize("step", [1, 3, 2**20])
def test_an_invalid_form_in_every_cut(form, step):
    with pytest.raises(InvalidResponse):
        decode(in_steps(INVALID[form], step))


# case G81
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(0, 500), max_size=6))
def test_any_chunks_in_any_cut(chunks, places):
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + END
    ends = [0, *sorted(places), len(data)]
    pieces = [data[begin:end] for begin, end in pairwise(ends)]
    assert decode(pieces)[::2] == (b"".join(chunks), True)


def send_and_wait(data):
    """Return a script that sends this and waits for the gateway."""

    async def respond(_request, connection):
        await connection.send(data)
        await connection.wait_closed()

    return respond


# case G81
def test_forms_at_the_client(gateway, recorded, alice_token):
    """Forward a valid body, and deny an invalid one that arrives with its head, at once."""
    request = head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers})
    for body in VALID.values():
        recorded.response = HEAD + body
        assert exchange(gateway.port, request).body == b"hello"
    for form, body in INVALID.items():
        if len(body) < 1000:
            recorded.response = send_and_wait(HEAD + body)
            began = time.monotonic()
            assert_denied(exchange(gateway.port, request), "upstream_unreachable")
            assert running_seconds(began) < 5, form


# cases C50, G81
@pytest.mark.parametrize("late", [b"zz\r\n", b"5\r\nhel", b""])
def test_a_client_gets_the_status_before_a_broken_body(gateway, recorded, alice_token, late):
    async def respond(_request, connection):
        await connection.send(HEAD + b"5\r\nhello\r\n")
        await arrived.wait()
        await connection.send(late)

    arrived = _event(recorded)
    recorded.response = respond
    with connected(gateway.port) as client:
        client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
        begun = client.read_head()
        assert begun.startswith(b"HTTP/1.1 200 ")
        recorded.call(arrived.set)
        assert not (begun + client.read_rest()).endswith(END)


def _event(recorded):
    async def create():
        return asyncio.Event()

    return recorded._loop.run(create())


REFUSALS = {
    "with a length": b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno",
    "in chunks": b"HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
    "to the end": b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\nno",
    "after 100": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno",
    "after many 103": b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n" * 50
    + b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno",
}


# case G81
@pytest.mark.parametrize("form", REFUSALS)
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_refused_upload(gateway, recorded, alice_token, form, framing):
    """Forward the response of an upstream that responds and closes its connection while the client sends."""
    recorded.reads_bodies = False

    async def respond(_request, connection):
        await connection.reader.read(1000)
        await connection.send(REFUSALS[form])
        connection.writer.close()  # with data unread, which resets the connection

    recorded.response = respond
    fields = {"Content-Length": "4000000"} if framing == "length" else {"Transfer-Encoding": "chunked"}
    piece = b"x" * 20_000 if framing == "length" else b"4e20\r\n" + b"x" * 20_000 + b"\r\n"
    for _ in range(10):
        with connected(gateway.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", {"Host": "h", **fields, **alice_token.headers}))
            try:
                for _ in range(200):
                    client.send(piece)
            except ConnectionError:
                pass
            response = client.read_response()
            assert (response.status, response.body) == (413, b"no")
    eventually(lambda: gateway.plane.upstream.pool.open == 0)
