"""An upstream that follows a script for each request, correct or faulty, and echoes on WebSockets.

A request names its script in `X-Case`.
"""

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
    """The steps of the upstream for one case, and the requests that it received.

    A step is bytes to send, a number of seconds to wait, or `RESET`, `CLOSE` or `STALL`.
    """

    steps: list[Step]
    seen: list[Recorded] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Return the number of bytes that the upstream sends, including header blocks."""
        return sum(len(step) for step in self.steps if isinstance(step, bytes))


class ScriptedUpstream(RecordingUpstream):
    """An upstream with scripts, which responds `ok` to requests without one.

    Requests whose path begins with `/hostile` must not reach it; they are recorded as intruders.
    """

    def __init__(self, loop: LoopThread, stall_seconds: float) -> None:
        super().__init__(loop)
        self.requests = deque(maxlen=1)  # type: ignore[assignment]  # scripts record their requests
        self.response = self._follow
        self.intruders: list[Recorded] = []
        self._stall_seconds = stall_seconds
        self._scripts: dict[bytes, Script] = {}
        self._last = 0
        self._counting = threading.Lock()

    def add_script(self, *steps: Step) -> tuple[bytes, Script]:
        """Add a script with these steps. Return the value of `X-Case` that selects it, and the script."""
        with self._counting:
            self._last += 1
            name = b"case-%d" % self._last
        self._scripts[name] = script = Script(list(steps))
        return name, script

    def remove_script(self, name: bytes) -> None:
        """Remove the script that this value of `X-Case` selects."""
        del self._scripts[name]

    def end_connections(self) -> None:
        """Close all connections."""
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
        """Take one step of a script. Return whether the connection stays open."""
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
        message, opcode = b"", Opcode.BINARY
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
                    message, opcode = b"", frame.opcode
                if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    message += frame.data
                    if frame.fin and protocol.state is State.OPEN:
                        (protocol.send_text if opcode is Opcode.TEXT else protocol.send_binary)(message)


HEAD = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
IN_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def invalid_response(chance: Random) -> list[Step]:
    """Return the steps of a response that is not valid HTTP; the gateway responds 502."""
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


def truncated_response(chance: Random) -> list[Step]:
    """Return the steps of a response that ends too early; the client must see that it is incomplete."""
    length, chunk = HEAD + b"Content-Length: 1000\r\n\r\n", b"5\r\n12345\r\n"
    begun: list[Step] = chance.choice(
        [
            [length], [length + b"x" * 999], [length, 0.01, b"x" * 10], [IN_CHUNKS], [IN_CHUNKS + chunk],
            [IN_CHUNKS + b"5\r\n123"], [IN_CHUNKS + chunk + b"0\r\n"], [IN_CHUNKS, 0.01, chunk],
        ]
    )  # fmt: skip
    return [*begun, chance.choice([CLOSE, RESET])]


def unusual_response(chance: Random) -> list[Step]:
    """Return the steps of a valid or harmless response; the client receives `ok`."""
    response = HEAD + b"Content-Length: 2\r\n\r\nok"
    drops = [step for byte in response for step in (bytes([byte]), 0.001)]
    return chance.choice(
        [
            drops,
            [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response],
            [b"HTTP/1.1 100 Continue\r\n\r\n" + response],
            [IN_CHUNKS + b"2\r\nok\r\n0\r\nX-Trailer: 1\r\nSet-Cookie: evil=1\r\n\r\n"],
            [IN_CHUNKS, 0.01, b"1;x=y\r\no\r\n", 0.01, b"1\r\nk\r\n0\r\n\r\n"],
            [b"HTTP/1.0 200 OK\r\n\r\nok", CLOSE], [HEAD + b"\r\nok", CLOSE],
        ]
    )  # fmt: skip


def response_with_excess(chance: Random) -> list[Step]:
    """Return the steps of `ok` with excess data right behind it; the client receives `ok` or 502.

    The data follows at once, as later data might follow the next request.
    """
    more = chance.choice(
        [
            b"evil", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"\r\n",
            b"HTTP/1.1 103 Early Hints\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nevil", b"HTTP/1.1 999 What\r\n" + EMPTY,
        ]
    )  # fmt: skip
    return [HEAD + b"Content-Length: 2\r\n\r\nok" + more]


def late_response(_chance: Random) -> list[Step]:
    """Return the steps of a response that begins too late; the gateway responds 504."""
    return [STALL, HEAD + EMPTY, CLOSE]


def stalled_response(chance: Random) -> list[Step]:
    """Return the steps of a response that begins and does not continue."""
    return [chance.choice([IN_CHUNKS + b"5\r\n12345\r\n", HEAD + b"Content-Length: 9\r\n\r\n", IN_CHUNKS + b"z\r\n"]),
            STALL, CLOSE]  # fmt: skip
