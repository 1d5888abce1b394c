"""The base of the stand-ins: an HTTP server in a thread that records calls, keeps idempotence keys and can fail."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Response = tuple[int, Any]


@dataclass(frozen=True)
class Call:
    """A call that a stand-in received."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    key: str  # the idempotence key; empty without one

    @property
    def place(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Trouble:
    """A fault of a stand-in."""

    slow: float = 0  # seconds before the response
    status: int = 0  # sent instead of the response, with `body`
    body: bytes = b"<html>Bad Gateway</html>"
    silent: bool = False  # the connection is closed before anything is done
    lost: bool = False  # the connection is closed after everything is done: only the response is lost


class StandIn:
    """The API of a provider. Subclasses define its idempotence header, its authentication and its responses."""

    name: str
    key_header: str
    create: str  # method and path of the call that creates payments

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._responses: dict[str, tuple[bytes, Response]] = {}
        self._trouble = Trouble()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name=type(self).__name__)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def trouble(self, **kind: Any) -> Iterator[None]:
        """Let the calls inside the block fail as described by the fields of `Trouble`."""
        self._trouble = Trouble(**kind)
        try:
            yield
        finally:
            self._trouble = Trouble()

    def keys(self, place: str) -> list[str]:
        """Return the idempotence keys of the calls to a method and path, such as `POST /v1/refunds`."""
        return [call.key for call in self.calls if call.place == place]

    def made(self) -> list[str]:
        """Return the ids of the payments that were created."""
        raise NotImplementedError

    def rejection(self, call: Call) -> Response | None:
        """Return the error response to a call without the right API key, or None."""
        raise NotImplementedError

    def reused_key(self) -> Response:
        """Return the error response to an idempotence key that was used with another body."""
        raise NotImplementedError

    def act(self, call: Call) -> Response:
        raise NotImplementedError

    def _response(self, call: Call) -> Response:
        with self._lock:
            self.calls.append(call)
            rejection = self.rejection(call)
            if rejection or call.method == "GET" or not call.key:
                return rejection or self.act(call)
            if call.key not in self._responses:
                response = self.act(call)
                if response[0] != 200:
                    return response
                # Stored as a copy, so that a later change of the object does not change this response.
                self._responses[call.key] = call.body, (200, json.loads(json.dumps(response[1])))
            body, response = self._responses[call.key]
            return response if body == call.body else self.reused_key()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_GET(self) -> None:
                trouble = standin._trouble
                call = self._call()
                if trouble.silent or standin._stopping.wait(trouble.slow) or trouble.status:
                    response: Response = (trouble.status, trouble.body)
                else:
                    response = standin._response(call)
                if trouble.silent or trouble.lost:
                    self.close_connection = True
                else:
                    self._send(*response)

            do_POST = do_GET  # noqa: N815

            def _call(self) -> Call:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                key = self.headers.get(standin.key_header, "")
                return Call(
                    self.command, parts.path, dict(parse_qsl(parts.query)), dict(self.headers.items()), body, key
                )

            def _send(self, status: int, body: Any) -> None:
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                try:
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    self.close_connection = True  # the client no longer waits

            def log_message(self, *args: Any) -> None:
                """Print nothing, because calls are recorded."""

        return Handler
