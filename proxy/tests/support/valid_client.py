"""A client that does what is right at random, and checks that both sides get what was sent."""

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

# Beside what the gateway and nginx do differently: what nginx and the gateway both change.
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
    """What was done how often, and how many bytes of bodies and messages must have been carried, at least and at
    most: of an exchange that broke off nobody knows more."""

    kinds: Counter[str] = field(default_factory=Counter)
    least: int = 0
    most: int = 0

    def count_bytes(self, exactly: int) -> None:
        self.least += exactly
        self.most += exactly

    def may_be_carried(self, most: int) -> None:
        self.most += most

    def add(self, other: "Tally") -> None:
        self.kinds += other.kinds
        self.least += other.least
        self.most += other.most


class Visitor:
    """One client at a time in front of `gateway`; `token` admits to everything, `certificates` to little."""

    def __init__(self, gateway: Any, upstream: ScriptedUpstream, token: Any, certificates: Any, seed: str) -> None:
        self.tally = Tally()
        self._gateway = gateway
        self._upstream = upstream
        self._token = token
        self._certificates = certificates
        self.seed = seed
        self.visits = 0

    def visit(self, kind: str, act: Callable[[Any], None]) -> None:
        """Do it once more. Raises `AssertionError` where something is wrong; what is done depends on the seed and on
        how often something was done before."""
        self.visits += 1
        self._chance = random.Random(f"{self.seed}/{self.visits}/{kind}")
        try:
            act(self)
        except Exception as error:
            raise AssertionError(f"{kind}, visit {self.visits} of {self.seed}: {error!r}") from error
        self.tally.kinds[kind] += 1

    def exchange(self) -> None:
        """Several on one connection, one after the other; the last in the manner of HTTP/1.0 sometimes."""
        with self._connected() as client:
            for _ in range(self._chance.randint(1, 5)):
                self._one(client, self._case())
            if self._chance.random() < 0.2:
                self._old(client)

    def _old(self, client: RawClient) -> None:
        case = replace(self._case(), chunked=False)
        with self._told(case) as (told, script):
            client.send(self._request(told).replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1))
            self._check(told, script, client.read_response(case.method))
            assert client.is_closed()

    def large(self) -> None:
        body, answer = (self._chance.randbytes(self._chance.randint(1, 1_000_000)) for _ in range(2))
        case = Case("PUT", "/large", [], body, self._chance.random() < 0.5,
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)  # fmt: skip
        with self._connected() as client:
            self._one(client, case)

    def slow(self) -> None:
        """The request in pieces, with pauses; the answer likewise."""
        case = self._case(most=5000)
        cuts = sorted(self._chance.randrange(len(case.response)) for _ in range(3))
        pieces = [case.response[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
        steps = [step for piece in pieces if piece for step in (piece, 0.02)]
        with self._connected() as client:
            self._one(client, case, steps, pause=0.02)

    def expects(self) -> None:
        """And waits for the `100 Continue`."""
        case = replace(
            self._case(), method="POST", body=self._chance.randbytes(5000), headers=[b"Expect: 100-continue"]
        )
        case = replace(case, response=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        with self._connected() as client, self._told(case) as (told, script):
            fields, _, body = self._request(told).partition(b"\r\n\r\n")
            client.send(fields + b"\r\n\r\n")
            assert client.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(body)
            self._check(told, script, client.read_response())

    def pipeline(self) -> None:
        """Sent all at once, answered in order."""
        with contextlib.ExitStack() as told, self._connected() as client:
            cases = [told.enter_context(self._told(self._case(most=5000))) for _ in range(self._chance.randint(2, 6))]
            requests = [self._request(case) for case, _ in cases]
            requests[-1] = requests[-1].replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            client.send(b"".join(requests))
            answers = parsed(client.read_rest(), [case.method for case, _ in cases])
            for (case, script), answer in zip(cases, answers, strict=True):
                self._check(case, script, answer)

    def socket(self) -> None:
        """Messages of any kind, whole and in fragments, come back as they were."""
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
        with self._told(case, steps) as (told, script):
            request = self._request(told)
            cuts = sorted(self._chance.randrange(len(request)) for _ in range(5)) if pause else []
            for start, end in zip([0, *cuts], [*cuts, None], strict=True):
                client.send(request[start:end])
                time.sleep(pause)
            self._check(told, script, client.read_response(told.method))

    @contextlib.contextmanager
    def _told(self, case: Case, steps: list[Step] | None = None) -> Iterator[tuple[Case, Script]]:
        """The case as it is sent, and the upstream told of it until the block ends."""
        closing = [CLOSE] if b"\r\nConnection: close" in case.response.partition(b"\r\n\r\n")[0] else []
        name, script = self._upstream.expect(*(steps or [case.response]), *closing)
        try:
            yield replace(case, headers=[*case.headers, b"X-Case: " + name]), script
        finally:
            self._upstream.forget(name)

    def _check(self, case: Case, script: Script, answer: RawResponse) -> None:
        """Both sides got what was sent."""
        (seen,) = script.seen
        sent = Recorded(case.request("", self._token.headers))
        (expected,) = parsed(case.response, [case.method])
        found = [
            *differences("request", seen_by_upstream(seen), seen_by_upstream(sent)),
            *differences("response", seen_by_client(answer), seen_by_client(expected)),
        ]
        unlisted = [one for one in found if not any(map(one.is_allowed_by, ALLOWED))]
        assert not unlisted, (case.method, case.target, unlisted)
        self._check_claims(seen)
        self.tally.count_bytes(len(case.body) + len(answer.body))

    def _check_claims(self, seen: Recorded) -> None:
        """What is the gateway's to say, nobody else says; the rules allow it to be missing."""
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
    """As much of a socket as HTTPResponse reads from."""

    def makefile(self, *_arguments: Any) -> "_Bytes":
        return self

    def close(self) -> None:
        """The next answer is read from it."""


def parsed(data: bytes, methods: list[str]) -> list[RawResponse]:
    """The answers in these bytes, to requests of these methods."""
    source, answers = _Bytes(data), []
    for method in methods:
        response = HTTPResponse(source, method=method)  # type: ignore[arg-type]  # a socket, as far as it is used
        response.begin()
        answers.append(RawResponse(response.status, response.headers, response.read()))
    return answers
