"""An upstream that answers each request as the case says that it names in `X-Case`, well or badly, and echoes on
WebSockets."""

import asyncio
import socket
import struct
import threading
from collections import deque
from dataclasses import dataclass, field
from random import Random

from websockets.frames import Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from proxy.tests.support.servers import OK, Connection, LoopThread, Recorded, RecordingUpstream

RESET = "reset"
CLOSE = "close"
# Longer than the gateway's UPSTREAM_TIMEOUT.
STALL = "stall"
Step = bytes | float | str


@dataclass
class Script:
    """What the upstream does, step by step: send bytes, wait for seconds, or end the connection in one of the ways
    above; and what it saw."""

    steps: list[Step]
    seen: list[Recorded] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """How many bytes it sends, header blocks and all."""
        return sum(len(step) for step in self.steps if isinstance(step, bytes))


class ScriptedUpstream(RecordingUpstream):
    """Requests without a case are answered `ok`; those whose path begins with `/hostile` are kept as intruders."""

    def __init__(self, loop: LoopThread, stall_seconds: float) -> None:
        super().__init__(loop)
        self.requests = deque(maxlen=1)  # type: ignore[assignment]  # each is kept with its script
        self.response = self._follow
        self.intruders: list[Recorded] = []
        self._stall_seconds = stall_seconds
        self._scripts: dict[bytes, Script] = {}
        self._last = 0
        self._counting = threading.Lock()

    def expect(self, *steps: Step) -> tuple[bytes, Script]:
        """The value of `X-Case` that leads to these steps, and the script."""
        with self._counting:
            self._last += 1
            name = b"case-%d" % self._last
        self._scripts[name] = script = Script(list(steps))
        return name, script

    def forget(self, name: bytes) -> None:
        del self._scripts[name]

    def end_connections(self) -> None:
        """Close what is idle."""
        self.call(lambda: [writer.close() for writer in list(self._writers)])

    async def _follow(self, request: Recorded, connection: Connection) -> bool:
        if request.target.startswith(b"/hostile"):
            self.intruders.append(request)
        headers = dict(request.headers)
        if headers.get(b"upgrade", b"").lower() == b"websocket":
            await self._echo(request, connection)
            return False
        script = self._scripts.get(headers.get(b"x-case", b""))
        if script is None:
            await connection.send(OK)
            return True
        script.seen.append(request)
        return all([await self._take(step, connection) for step in script.steps])

    async def _take(self, step: Step, connection: Connection) -> bool:
        """Whether the connection stays open."""
        if isinstance(step, bytes):
            await connection.send(step)
        elif isinstance(step, float):
            await asyncio.sleep(step)
        elif step == STALL:
            await asyncio.sleep(self._stall_seconds)
        elif step == RESET:
            end = connection.writer.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.writer.transport.abort()
        return step not in (RESET, CLOSE)

    async def _echo(self, request: Recorded, connection: Connection) -> None:
        protocol = ServerProtocol(max_size=2**25)
        protocol.receive_data(request.raw)
        (handshake,) = protocol.events_received()
        protocol.send_response(protocol.accept(handshake))
        whole, opcode = b"", Opcode.BINARY
        while True:
            for data in protocol.data_to_send():
                connection.writer.write(data)
            await connection.writer.drain()
            if protocol.close_expected():
                return
            data = await connection.reader.read(65536)
            if not data:
                return
            protocol.receive_data(data)
            for frame in protocol.events_received():
                if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                    whole, opcode = b"", frame.opcode
                if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    whole += frame.data
                    if frame.fin and protocol.state is State.OPEN:
                        (protocol.send_text if opcode is Opcode.TEXT else protocol.send_binary)(whole)


HEAD = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
IN_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def refused_answer(chance: Random) -> list[Step]:
    """What is no HTTP: 502."""
    control = bytes([chance.choice([0, 1, 8, 11, 12, 27, 31, 127])])
    return chance.choice(
        [
            [CLOSE], [RESET], [chance.randbytes(200), CLOSE], [b"nonsense\r\n\r\n", CLOSE], [b"\r\n\r\n", CLOSE],
            [b"HTTP/1.1 200 OK\r\nContent-", CLOSE], [HEAD, RESET], [b"HTTP/1.1 2000 OK\r\n" + EMPTY, CLOSE],
            [b"HTTP/1.1 099 What\r\n" + EMPTY, CLOSE], [b"HTTP/1.1 999 What\r\n" + EMPTY, CLOSE],
            [HEAD + b"Content-Length: x\r\n\r\n", CLOSE], [HEAD + b"Content-Length: -1\r\n\r\n", CLOSE],
            [HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", CLOSE],
            [HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", CLOSE],
            [HEAD + b"bad name: x\r\n" + EMPTY, CLOSE], [HEAD + b"X: a" + control + b"b\r\n" + EMPTY, CLOSE],
            [HEAD + b"X: a\rSet-Cookie: evil=1\r\n" + EMPTY, CLOSE], [HEAD + b"X: a\r\n b\r\n" + EMPTY, CLOSE],
            [HEAD + b"X: " + b"a" * 100_000 + b"\r\n" + EMPTY, CLOSE],
            [HEAD + b"".join(b"Set-Cookie: c%d=1\r\n" % number for number in range(500)) + EMPTY, CLOSE],
            [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", CLOSE],
        ]
    )  # fmt: skip


def broken_answer(chance: Random) -> list[Step]:
    """What ends before its end: the client must see that."""
    length, chunk = HEAD + b"Content-Length: 1000\r\n\r\n", b"5\r\n12345\r\n"
    begun: list[Step] = chance.choice(
        [
            [length], [length + b"x" * 999], [length, 0.01, b"x" * 10], [IN_CHUNKS], [IN_CHUNKS + chunk],
            [IN_CHUNKS + b"5\r\n123"], [IN_CHUNKS + chunk + b"0\r\n"], [IN_CHUNKS, 0.01, chunk],
        ]
    )  # fmt: skip
    return [*begun, chance.choice([CLOSE, RESET])]


def odd_answer(chance: Random) -> list[Step]:
    """What is allowed, or harmless: the answer is `ok`."""
    answer = HEAD + b"Content-Length: 2\r\n\r\nok"
    drops = [step for byte in answer for step in (bytes([byte]), 0.001)]
    return chance.choice(
        [
            drops,
            [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer], [b"HTTP/1.1 100 Continue\r\n\r\n" + answer],
            [IN_CHUNKS + b"2\r\nok\r\n0\r\nX-Trailer: 1\r\nSet-Cookie: evil=1\r\n\r\n"],
            [IN_CHUNKS, 0.01, b"1;x=y\r\no\r\n", 0.01, b"1\r\nk\r\n0\r\n\r\n"],
            [b"HTTP/1.0 200 OK\r\n\r\nok", CLOSE], [HEAD + b"\r\nok", CLOSE],
        ]
    )  # fmt: skip


def answer_with_more(chance: Random) -> list[Step]:
    """`ok`, and at once what nobody asked for: `ok` or 502. What came later might come after the next request."""
    more = chance.choice(
        [
            b"evil", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"\r\n",
            b"HTTP/1.1 103 Early Hints\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nevil", b"HTTP/1.1 999 What\r\n" + EMPTY,
        ]
    )  # fmt: skip
    return [HEAD + b"Content-Length: 2\r\n\r\nok" + more]


def late_answer(_chance: Random) -> list[Step]:
    """504."""
    return [STALL, HEAD + EMPTY, CLOSE]


def stalled_answer(chance: Random) -> list[Step]:
    """Begins, and does not go on."""
    return [chance.choice([IN_CHUNKS + b"5\r\n12345\r\n", HEAD + b"Content-Length: 9\r\n\r\n", IN_CHUNKS + b"z\r\n"]),
            STALL, CLOSE]  # fmt: skip
