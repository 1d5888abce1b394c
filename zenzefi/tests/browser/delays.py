"""An HTTP proxy between Chromium and the gateway that delays some of the requests.

A browser test must pass no matter when a script, a style sheet or a fragment arrives.
`BROWSER_DELAYS='\\.js=0.7 \\.css=0.3' make test-browser` delays the URLs that match a pattern by these seconds.
"""

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

VARIABLE = "BROWSER_DELAYS"


def rules(text: str) -> list[tuple[re.Pattern[str], float]]:
    """Return the patterns and seconds of `pattern=seconds pattern=seconds`."""
    pairs = [rule.rpartition("=") for rule in text.split()]
    return [(re.compile(pattern), float(seconds)) for pattern, _, seconds in pairs]


class DelayingProxy:
    """Carry one request per connection, and wait first if its URL matches a rule."""

    def __init__(self, text: str) -> None:
        self._rules = rules(text)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # Chromium has closed the connection
        finally:
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        method, url, version = line.split(b" ", 2)
        if method == b"CONNECT":  # for WebSockets
            port = int(url.rpartition(b":")[2])
            first = b""
        else:
            port = urlsplit(url).port or 80
            await asyncio.sleep(sum(seconds for pattern, seconds in self._rules if pattern.search(url.decode())))
            path = b"/" + url.split(b"/", 3)[3]
            headers = re.sub(rb"(?im)^Proxy-Connection:.*$", b"Connection: close\r", rest, count=1)
            first = b" ".join((method, path, version)) + b"\r\n" + headers
        ours, theirs = await asyncio.open_connection("127.0.0.1", port)
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        theirs.write(first)
        await asyncio.gather(_copy(reader, theirs), _copy(ours, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@contextmanager
def running(text: str) -> Iterator[str]:
    """Yield the URL of a proxy with these rules. It runs in a thread of its own."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        loop, stopped = asyncio.new_event_loop(), asyncio.Event()
        thread = threading.Thread(target=loop.run_until_complete, args=[_serve(listener, text, stopped)])
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(stopped.set)
            thread.join()
            loop.close()


async def _serve(listener: socket.socket, text: str, stopped: asyncio.Event) -> None:
    await asyncio.start_server(DelayingProxy(text).handle, sock=listener, limit=1 << 20)
    await stopped.wait()
    connections = asyncio.all_tasks() - {asyncio.current_task()}
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)
