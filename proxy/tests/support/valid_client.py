"""A client that sends random valid traffic and checks that both sides receive what was sent."""

import contextlib
import io
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.client import HTTPResponse
from typing import Any

from proxy.tests.support.exchange_cases import Case, Generator
from proxy.tests.support.nginx_differences import RULES, differences, seen_by_client, seen_by_upstream
from proxy.tests.support.raw_client import RawClient, RawResponse, connected
from proxy.tests.support.scripted_upstream import CLOSE, Script, ScriptedUpstream, Step
from proxy.tests.support.servers import Recorded
from proxy.tests.support.websockets import vanish

# The differences between the sent and the received message that the gateway and nginx have in common.
BOTH = [
    ("request", "nginx", r"host|connection|expect|x-under_score", r".*"),
    ("request", "gateway", r"host", r".*"),
    ("response", "nginx", r"connection|keep-alive|transfer-encoding", r".*"),
    ("response", "gateway", r"connection|transfer-encoding", r".*"),
]
NEVER_SENT = {
    b"x-access-token", b"x-device-id", b"proxy-authorization", b"forwarded", b"x-real-ip", b"x-hop", b"te",
    b"keep-alive", b"expect", b"x-under_score",
}  # fmt: skip
ALLOWED = [*(rule for rules in RULES.values() for rule in rules), *BOTH]


@dataclass
class Tally:
    """The number of actions by kind, and the bytes of bodies and messages that the gateway must have counted.

    The bytes have a lower and an upper limit, because those of an interrupted exchange are not known exactly.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    least: int = 0
    most: int = 0

    def count_bytes(self, exactly: int) -> None:
        """Add bytes that were certainly transferred."""
        self.least += exactly
        self.most += exactly

    def count_at_most(self, most: int) -> None:
        """Add bytes that may have been transferred."""
        self.most += most

    def add(self, other: "Tally") -> None:
        """Add the numbers of another tally."""
        self.kinds += other.kinds
        self.least += other.least
        self.most += other.most


class ValidClient:
    """A client of `gateway`, with a token for all paths and a token for `/certificates` only."""

    def __init__(self, gateway: Any, upstream: ScriptedUpstream, token: Any, certificates: Any, seed: str) -> None:
        self.tally = Tally()
        self._gateway = gateway
        self._upstream = upstream
        self._token = token
        self._certificates = certificates
        self.seed = seed
        self.performed = 0

    def perform(self, kind: str, act: Callable[[Any], None]) -> None:
        """Perform an action; raise `AssertionError` if something is wrong.

        The random choices depend on the seed and on the number of actions performed before.
        """
        self.performed += 1
        self._chance = random.Random(f"{self.seed}/{self.performed}/{kind}")
        try:
            act(self)
        except Exception as error:
            raise AssertionError(f"{kind}, action {self.performed} of {self.seed}: {error!r}") from error
        self.tally.kinds[kind] += 1

    def exchange(self) -> None:
        """Send several requests in succession on one connection; the last one sometimes as HTTP/1.0."""
        with self._connected() as client:
            for _ in range(self._chance.randint(1, 5)):
                self._one(client, self._case())
            if self._chance.random() < 0.2:
                self._old(client)

    def _old(self, client: RawClient) -> None:
        case = replace(self._case(), chunked=False)
        with self._scripted(case) as (sent, script):
            client.send(self._request(sent).replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1))
            self._check(sent, script, client.read_response(case.method))
            assert client.is_closed()

    def large(self) -> None:
        """Send a large request that has a large response."""
        body, content = (self._chance.randbytes(self._chance.randint(1, 1_000_000)) for _ in range(2))
        case = Case("PUT", "/large", [], body, self._chance.random() < 0.5,
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)  # fmt: skip
        with self._connected() as client:
            self._one(client, case)

    def slow(self) -> None:
        """Send the request in pieces with pauses, and receive the response in the same way."""
        case = self._case(most=5000)
        cuts = sorted(self._chance.randrange(len(case.response)) for _ in range(3))
        pieces = [case.response[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
        steps = [step for piece in pieces if piece for step in (piece, 0.02)]
        with self._connected() as client:
            self._one(client, case, steps, pause=0.02)

    def expects(self) -> None:
        """Wait for `100 Continue` before sending the body."""
        case = replace(
            self._case(), method="POST", body=self._chance.randbytes(5000), headers=[b"Expect: 100-continue"]
        )
        case = replace(case, response=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        with self._connected() as client, self._scripted(case) as (sent, script):
            fields, _, body = self._request(sent).partition(b"\r\n\r\n")
            client.send(fields + b"\r\n\r\n")
            assert client.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(body)
            self._check(sent, script, client.read_response())

    def pipeline(self) -> None:
        """Send several requests at once, and read their responses in order."""
        with contextlib.ExitStack() as stack, self._connected() as client:
            count = self._chance.randint(2, 6)
            cases = [stack.enter_context(self._scripted(self._case(most=5000))) for _ in range(count)]
            requests = [self._request(case) for case, _ in cases]
            requests[-1] = requests[-1].replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            client.send(b"".join(requests))
            responses = parsed(client.read_rest(), [case.method for case, _ in cases])
            for (case, script), response in zip(cases, responses, strict=True):
                self._check(case, script, response)

    def socket(self) -> None:
        """Send messages of any kind, complete and in fragments, and receive them unchanged."""
        chance = self._chance
        with self._gateway.socket("/echo", self._token, compression=None, max_size=2**25, close_timeout=2) as client:
            for _ in range(chance.randint(1, 30)):
                data = chance.randbytes(chance.choice([0, 1, 125, 126, 5000, 65_536, 100_000]))
                message = data.hex() if chance.random() < 0.5 else data
                client.send(message if chance.random() < 0.5 else _fragments(message, chance))
                if chance.random() < 0.1:
                    client.ping().wait(5)
                got = client.recv(timeout=10)
                assert got == message, (len(got), len(message))
                self.tally.count_bytes(2 * len(message))
            if chance.random() < 0.5:
                client.close(chance.choice([1000, 1001, 3000, 4999]), "bye")
            elif chance.random() < 0.5:
                vanish(client)

    def _case(self, most: int = 10**9) -> Case:
        while True:
            case = Generator(self._chance.random()).case()
            if len(case.body) <= most and len(case.response) <= 2 * most:
                return case

    def _one(self, client: RawClient, case: Case, steps: list[Step] | None = None, pause: float = 0) -> None:
        with self._scripted(case, steps) as (sent, script):
            request = self._request(sent)
            cuts = sorted(self._chance.randrange(len(request)) for _ in range(5)) if pause else []
            for start, end in zip([0, *cuts], [*cuts, None], strict=True):
                client.send(request[start:end])
                time.sleep(pause)
            self._check(sent, script, client.read_response(sent.method))

    @contextlib.contextmanager
    def _scripted(self, case: Case, steps: list[Step] | None = None) -> Iterator[tuple[Case, Script]]:
        """Add a script for the case to the upstream until the block ends. Yield the case as it is sent."""
        closing = [CLOSE] if b"\r\nConnection: close" in case.response.partition(b"\r\n\r\n")[0] else []
        name, script = self._upstream.add_script(*(steps or [case.response]), *closing)
        try:
            yield replace(case, headers=[*case.headers, b"X-Case: " + name]), script
        finally:
            self._upstream.remove_script(name)

    def _check(self, case: Case, script: Script, response: RawResponse) -> None:
        """Assert that both sides received what was sent."""
        (seen,) = script.seen
        sent = Recorded(case.request("", self._token.headers))
        (expected,) = parsed(case.response, [case.method])
        found = [
            *differences("request", seen_by_upstream(seen), seen_by_upstream(sent)),
            *differences("response", seen_by_client(response), seen_by_client(expected)),
        ]
        unlisted = [one for one in found if not any(map(one.is_allowed_by, ALLOWED))]
        assert not unlisted, (case.method, case.target, unlisted)
        self._check_gateway_fields(seen)
        self.tally.count_bytes(len(case.body) + len(response.body))

    def _check_gateway_fields(self, seen: Recorded) -> None:
        """Assert that the fields set by the gateway are present and correct; `RULES` allow their absence."""
        assert seen.header(b"x-user-id") == str(self._token.token.user_id).encode(), seen
        assert seen.header(b"x-token-id") == str(self._token.token.pk).encode(), seen
        assert seen.header(b"x-forwarded-for") == b"127.0.0.1", seen
        names = {name for name, _ in seen.headers}
        assert not names & NEVER_SENT, seen
        assert not any(b"zenzefi_" in value for name, value in seen.headers if name == b"cookie"), seen

    def _request(self, case: Case) -> bytes:
        return case.request("/api/v1/proxy", self._token.headers)

    def _connected(self) -> contextlib.AbstractContextManager[RawClient]:
        return connected(self._gateway.port, timeout=20)


def _fragments(message: str | bytes, chance: random.Random) -> list[Any]:
    size = chance.choice([1000, 30_000])
    return [message[start : start + size] for start in range(0, len(message), size)] or [message]


class _Bytes(io.BytesIO):
    """The part of the interface of a socket that HTTPResponse uses."""

    def makefile(self, *_arguments: Any) -> "_Bytes":
        return self

    def close(self) -> None:
        """Stay open, as the next response is read from the same bytes."""


def parsed(data: bytes, methods: list[str]) -> list[RawResponse]:
    """Return the responses in these bytes, which belong to requests with these methods."""
    source, responses = _Bytes(data), []
    for method in methods:
        response = HTTPResponse(source, method=method)  # type: ignore[arg-type]  # it acts as a socket
        response.begin()
        responses.append(RawResponse(response.status, response.headers, response.read()))
    return responses
