"""WebSocket frames: their extent, their headers, and the same result with and without the websockets library."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import CLOSE, CONT, PING, PONG, Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side
from websockets.server import ServerProtocol

from proxy.dataplane.websocket import frames
from proxy.dataplane.websocket.endpoint import Endpoint, join
from proxy.dataplane.websocket.upstream_end import UpstreamEnd

MAX_BYTES = 40_000


@pytest.mark.parametrize(
    ("data", "begin", "end"),
    [
        (b"\x82\x00", 2, 2),
        (b"\x82\x05hello", 2, 7),
        (b"\x82\x7d", 2, 127),
        (b"\x82\x7e\x00\x7e", 4, 130),
        (b"\x82\x7e\xff\xff", 4, 65539),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10, 65546),
        (b"\x82\x85abcdhello", 6, 11),
        (b"\x82\xfe\x01\x00abcd", 8, 264),
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffabcd", 14, 14 + 2**63 - 1),
    ],
)
def test_the_extent_of_a_frame(data, begin, end):
    assert frames.extent(data, 0) == (begin, end)
    assert frames.extent(b"xyz" + data, 3) == (begin + 3, end + 3)
    for cut in range(begin):
        assert frames.extent(data[:cut], 0) is None


@pytest.mark.parametrize(
    ("header", "length", "masked", "plain"),
    [
        (2, 0, False, True), (2, 125, False, True), (4, 126, False, True), (4, 65535, False, True),
        (4, 125, False, False), (10, 65536, False, False), (10, 5, False, False), (6, 5, False, False),
        (6, 125, True, True), (8, 126, True, True), (8, 125, True, False), (2, 5, True, False),
        (14, 65536, True, False),
    ],
)  # fmt: skip
def test_the_shortest_header_of_an_unfragmented_frame(header, length, masked, plain):
    assert frames.is_plain(header, length, masked=masked) is plain


@given(st.sampled_from([Opcode.TEXT, Opcode.BINARY]), st.binary(max_size=300) | st.just(bytes(65535)))
def test_a_frame_equals_that_of_websockets(opcode, payload):
    assert frames.frame(0x80 | opcode, payload) == Frame(opcode, payload).serialize(mask=False)
    masked = frames.Masking().frame(0x80 | opcode, payload)
    begin, end = frames.extent(masked, 0)
    assert len(masked) == end == len(Frame(opcode, payload).serialize(mask=True))
    assert frames.unmasked(masked, begin, end) == payload


def test_masking_keys_differ():
    masking = frames.Masking()
    keys = {masking.frame(frames.BINARY, b"")[2:6] for _ in range(3000)}
    assert len(keys) > 2990  # One of a thousand such runs has two equal random keys.


# --- The relay reads the same as websockets, in any division into chunks


class _Transport:
    """A transport that keeps the written bytes."""

    def __init__(self):
        self.written = bytearray()
        self.closed = False

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    abort = write_eof = pause_reading = resume_reading = lambda self: None


class _Client(Endpoint):
    """The client's end, as far as it needs no handshake."""

    masked = True
    frame = staticmethod(frames.frame)
    max_bytes = MAX_BYTES
    close_status = (1000, "")


def _joined_ends(loop):
    """Return both ends of an open relay, and the list of the byte counts that it reports."""
    client, upstream = _Client(), UpstreamEnd(loop, (), MAX_BYTES)
    client.loop, client.gone = loop, asyncio.Event()
    client.conn, upstream.conn = (_open(kind) for kind in (ServerProtocol, ClientProtocol))
    client.transport, upstream.transport = _Transport(), _Transport()
    counted = []
    join(client, upstream, counted.append, lambda *_close_status: None)
    return client, upstream, counted


def _open(kind):
    options = {} if kind is ServerProtocol else {"uri": None}
    return kind(**options, state=OPEN, max_size=MAX_BYTES)


def _read_by_websockets(data, side):
    """Return the messages in the data, and the pongs and the close code that websockets alone would send."""
    conn = Protocol(side, max_size=MAX_BYTES)
    conn.receive_data(data)
    messages, pongs, kind, parts = [], [], Opcode.BINARY, b""
    for event in conn.events_received():
        if event.opcode is PING:
            pongs.append(bytes(event.data))
        elif event.opcode not in (PONG, CLOSE):
            if event.opcode is not CONT:
                kind, parts = event.opcode, b""
            parts += event.data
            if event.fin:
                if kind is Opcode.TEXT and not _is_utf8(parts):
                    return messages, pongs, 1007
                messages.append((kind, parts))
    return messages, pongs, conn.close_sent.code if conn.close_sent else None


def _is_utf8(data):
    try:
        bytes(data).decode()
    except UnicodeDecodeError:
        return False
    return True


def _peer_receives(data, side):
    """Return the messages, the pongs and the close code in the written data."""
    conn = Protocol(side, max_size=None)
    conn.receive_data(bytes(data))
    events = conn.events_received()
    messages = [(event.opcode, bytes(event.data)) for event in events if event.opcode not in (PING, PONG, CLOSE)]
    pongs = [bytes(event.data) for event in events if event.opcode is PONG]
    return messages, pongs, conn.close_rcvd.code if conn.close_rcvd else None


_PAYLOADS = st.binary(max_size=200) | st.sampled_from([bytes(126), "я".encode() * 70, bytes(39_999), bytes(40_000)])
_FRAMES = st.builds(
    Frame,
    st.sampled_from([*Opcode, Opcode.TEXT, Opcode.BINARY, Opcode.BINARY, CONT]),
    _PAYLOADS | st.sampled_from([b"\x03\xe8bye", b"\x03\xe7", bytes(MAX_BYTES), bytes(MAX_BYTES + 1)]),
    fin=st.sampled_from([True, True, True, False]),
)


def _serialized(frame, *, mask):
    """Return the frame as bytes, even a control frame that websockets refuses to send, too long or fragmented."""
    frame = Frame(frame.opcode, frame.data, frame.fin)
    frame.check = lambda: None
    return frame.serialize(mask=mask)


_WRONG = st.sampled_from(
    [b"\xc1\x00", b"\x83\x00", b"\x82\x7e\x00\x05hello", b"\x82\xfe\x00\x05\0\0\0\0hello", b"\x82"]
)


@pytest.mark.parametrize("side", [Side.SERVER, Side.CLIENT])
@settings(max_examples=300, deadline=None)
@example(sent=[Frame(Opcode.TEXT, b"\xff")], wrong=b"", cuts=[])
@example(sent=[Frame(Opcode.TEXT, b"a", fin=False), Frame(PING, b"p"), Frame(CONT, b"\xd1")], wrong=b"", cuts=[3])
@example(sent=[Frame(Opcode.BINARY, bytes(MAX_BYTES + 1)), Frame(Opcode.BINARY, b"x")], wrong=b"", cuts=[1, 2, 9])
@example(sent=[Frame(CLOSE, b"\x03\xe8"), Frame(Opcode.BINARY, b"x")], wrong=b"", cuts=[])
@given(
    sent=st.lists(_FRAMES, max_size=8),
    wrong=st.just(b"") | _WRONG,
    cuts=st.lists(st.integers(0, 150_000), max_size=12),
)
def test_the_relay_reads_the_same_as_websockets(side, sent, wrong, cuts):
    loop = asyncio.new_event_loop()
    try:
        client, upstream, counted = _joined_ends(loop)
        reader, other = (client, upstream) if side is Side.SERVER else (upstream, client)
        data = b"".join(_serialized(frame, mask=side is Side.SERVER) for frame in sent) + wrong
        bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        for start, end in pairwise(bounds):
            reader.data_received(data[start:end])
        messages, pongs, code = _read_by_websockets(data, side)
        replies = _peer_receives(reader.transport.written, Side.CLIENT if side is Side.SERVER else Side.SERVER)
        assert replies[1:] == (pongs, code if code != 1006 else None)
        relayed = _peer_receives(other.transport.written, Side.SERVER if side is Side.SERVER else Side.CLIENT)
        assert relayed[0] == messages
        assert counted == [len(payload) for _, payload in messages]
    finally:
        loop.close()


async def test_a_pending_ping_does_not_suppress_the_close_frame():
    # The other end is lost, and the client has not yet read the last messages of the upstream.
    client, upstream, _counted = _joined_ends(asyncio.get_running_loop())
    upstream.lost = client._writing_paused = True
    data = [Frame(PING, b"p"), Frame(CLOSE, b"\x03\xe8")]
    client.data_received(b"".join(_serialized(frame, mask=True) for frame in data))
    assert _peer_receives(client.transport.written, Side.CLIENT) == ([], [], 1000)
