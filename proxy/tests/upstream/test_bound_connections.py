"""Upstreams that authenticate a connection (NTLM, Negotiate): its next client must never be served as its last."""

import contextlib
import ipaddress

import pytest

from proxy.dataplane.rules.authentication import Handshake, expects_next_message, handshake_of, is_connection_bound
from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import eventually
from zenzefi import asgi

FIRST, CHALLENGE, LAST = "TlRMTVNTUAAB", "TlRMTVNTUAAC", "TlRMTVNTUAAD"


class AuthenticatingUpstream:
    """An upstream that authenticates connections as NTLM does, in two messages of the client.

    Its responses are the user of the connection, or 401.
    """

    def __init__(self, scheme="NTLM"):
        self._scheme = scheme
        self.states = {}  # by connection: "challenged", or the name of the user

    async def __call__(self, request, connection):
        message = (request.header(b"authorization") or b"").decode().partition(" ")[2]
        state, challenge = self.states.get(connection.writer, ""), self._scheme
        if message.startswith(FIRST):
            state, challenge = "challenged", f"{self._scheme} {CHALLENGE}"
        elif message.startswith(LAST):
            state = message.removeprefix(LAST) if state == "challenged" else ""
        elif state == "challenged":
            state = ""
        self.states[connection.writer] = state
        if state in ("", "challenged"):
            await connection.send(
                f"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n".encode()
            )
        else:
            await connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(state)}\r\n\r\n{state}".encode())
        return True


@pytest.fixture
def trust_loopback(monkeypatch):
    """Let the gateway take clients on loopback for a trusted proxy."""
    monkeypatch.setattr(asgi.application, "_trusted", [ipaddress.ip_network("127.0.0.1/32")])


def send(client, token, authorization=None, method="GET", target="/x", **headers):
    """Send a request, and return the name of the user as the upstream sees it, or the status."""
    given = {"Host": "h", "X-Forwarded-For": "192.0.2.1", **token.headers, **headers}
    lines = [f"Authorization: {authorization}".encode()] if authorization else []
    client.send(head(method, f"/api/v1/proxy{target}", given, *lines))
    response = client.read_response(method)
    return response.text or response.status


def authenticate(client, token, user, scheme="NTLM"):
    """Do the handshake, and return the response to its last message."""
    assert send(client, token, f"{scheme} {FIRST}") == 401
    return send(client, token, f"{scheme} {LAST}{user}")


# case G71
@pytest.mark.parametrize(
    ("scheme", "rounds"), [("NTLM", 200), ("nEgOtIaTe", 10), ("Kerberos", 10), ("Unheard-Of", 10)]
)
@pytest.mark.parametrize("front", ["direct", "shared connection", "trusted proxy"])
def test_two_customers_in_turn(request, gateway, recorded, alice_token, bob_token, front, scheme, rounds):
    """Let the handshake work for Alice, and serve Bob as an unknown user until he has done his own."""
    if front == "trusted proxy":
        request.getfixturevalue("trust_loopback")
    recorded.response = AuthenticatingUpstream(scheme)
    with contextlib.ExitStack() as stack:
        alice = stack.enter_context(connected(gateway.port))
        bob = stack.enter_context(connected(gateway.port)) if front == "direct" else alice
        assert send(alice, alice_token) == 401
        assert authenticate(alice, alice_token, "alice", scheme) == "alice"
        for _ in range(rounds // 2):
            assert send(bob, bob_token) == 401
            assert send(alice, alice_token) == "alice"
        assert authenticate(bob, bob_token, "bob", scheme) == "bob"
        for _ in range(rounds // 2):
            assert send(bob, bob_token) == "bob"
            assert send(alice, alice_token) == "alice"
    assert recorded.connections <= 3


# case G71
def test_a_token_that_is_used_on_two_connections(gateway, recorded, alice_token):
    recorded.response = AuthenticatingUpstream()
    with connected(gateway.port) as one, connected(gateway.port) as other:
        assert authenticate(one, alice_token, "alice") == "alice"
        for _ in range(20):
            assert send(other, alice_token) == 401
            assert send(one, alice_token) == "alice"
        assert authenticate(other, alice_token, "operator") == "operator"
        assert (send(one, alice_token), send(other, alice_token)) == ("alice", "operator")


# case G71
def test_handshakes_at_the_same_time_behind_a_proxy(gateway, recorded, trust_loopback, alice_token):
    """Begin two handshakes of one client, on connections that the proxy mixes, and send other requests between."""
    recorded.response = AuthenticatingUpstream()
    with connected(gateway.port) as one, connected(gateway.port) as other:
        assert send(one, alice_token, f"NTLM {FIRST}") == 401
        assert send(other, alice_token, f"NTLM {FIRST}") == 401
        assert send(one, alice_token) == 401
        assert send(one, alice_token, f"NTLM {LAST}alice") == "alice"
        assert send(other, alice_token, f"NTLM {LAST}alice") == "alice"
        assert send(one, alice_token) == "alice"


def identify_connection(*lines, status=b"401 Unauthorized"):
    """Return a script whose responses have these lines and the number of the connection."""
    numbers = {}

    async def respond(request, connection):
        number = b"%d" % numbers.setdefault(connection.writer, len(numbers) + 1)
        given = lines if request.target == b"/x" else ()
        head_lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(number), *given]
        await connection.send(b"\r\n".join(head_lines) + b"\r\n\r\n" + number)
        return True

    return respond


# case G71
@pytest.mark.parametrize(
    ("requested", "responded", "status", "is_shared"),
    [
        ([], [], b"200 OK", True),
        ([], [], b"401 Unauthorized", True),
        ([b"Authorization: Basic eDp5"], [b'WWW-Authenticate: Basic realm="a, NTLM"'], b"401 Unauthorized", True),
        ([b"Authorization: Basic eDp5"], [b'WWW-Authenticate: Basic realm="a, b", Digest nonce=x'], b"401 No", True),
        ([b"authorization: BEARER x"], [b"WWW-Authenticate: Bearer"], b"401 Unauthorized", True),
        ([b"Authorization: Digest username=x"], [], b"200 OK", True),
        ([b"Authorization: NTLM x"], [], b"200 OK", False),
        ([b"AUTHORIZATION:\tnegotiate\tx"], [], b"200 OK", False),
        ([b"Authorization: Basic eDp5", b"Authorization: NTLM x"], [], b"200 OK", False),
        ([b"Authorization: NTLM x", b"Authorization: Basic eDp5"], [], b"200 OK", False),
        ([b"Authorization: Basic eDp5, Negotiate x"], [], b"200 OK", False),
        ([b"Authorization: x"], [], b"404 Not Found", False),
        ([], [b"WWW-Authenticate: NTLM"], b"401 Unauthorized", False),
        ([], [b"www-authenticate: Basic realm=x,negotiate"], b"401 Unauthorized", False),
        ([], [b"WWW-Authenticate: Basic realm=x", b"WWW-Authenticate: Unheard-Of"], b"401 Unauthorized", False),
        ([], [b"WWW-Authenticate: Negotiate oRQ="], b"200 OK", False),
        ([], [b"Persistent-Auth: true"], b"200 OK", False),
    ],
)
def test_which_connections_are_shared(
    gateway, recorded, alice_token, bob_token, requested, responded, status, is_shared
):
    recorded.response = identify_connection(*responded, status=status)
    with connected(gateway.port) as alice, connected(gateway.port) as bob:
        alice.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}, *requested))
        assert alice.read_response().text == "1"
        assert send(bob, bob_token, target="/y") == ("1" if is_shared else "2")
        assert send(alice, alice_token, target="/y") == "1"  # her handshake goes on where it began


# case G71
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_bound_connection_ends_with_its_client(gateway, recorded, alice_token, method):
    recorded.response = AuthenticatingUpstream()
    with connected(gateway.port) as client:
        send(client, alice_token, f"NTLM {FIRST}", method)
        eventually(lambda: gateway.plane.upstream.pool.open == 1)
    eventually(lambda: recorded.closed_connections == 1)
    assert (gateway.plane.upstream.pool.open, bool(gateway.plane.upstream.pool.bound)) == (0, False)


# case G71
def test_idle_bound_connections_are_closed(gateway, recorded, trust_loopback, alice_token, monkeypatch):
    monkeypatch.setattr("proxy.dataplane.upstream.pool._IDLE_SECONDS", 0.2)
    recorded.response = AuthenticatingUpstream()
    with connected(gateway.port) as client:
        assert authenticate(client, alice_token, "alice") == "alice"
        eventually(lambda: recorded.closed_connections == 1)
        assert send(client, alice_token) == 401
        assert not gateway.plane.upstream.pool.idle


# case G71
def test_a_bound_connection_that_the_upstream_closed(gateway, recorded, alice_token, bob_token):
    """Retry as on any other connection; the new one is bound, too, if the request has a message."""
    upstream = AuthenticatingUpstream()
    recorded.response = upstream
    with connected(gateway.port) as alice, connected(gateway.port) as bob:
        assert authenticate(alice, alice_token, "alice") == "alice"
        (writer,) = upstream.states
        recorded.call(writer.close)
        eventually(lambda: gateway.plane.upstream.pool.open == 0)
        assert send(alice, alice_token, f"NTLM {FIRST}") == 401
        assert send(bob, bob_token) == 401
        assert send(alice, alice_token, f"NTLM {LAST}alice") == "alice"


# case G71
def test_a_bound_connection_is_closed_after_an_error(gateway, recorded, alice_token, bob_token):
    async def respond(_request, connection):
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok")

    recorded.response = respond
    with connected(gateway.port) as alice:
        alice.send(head("GET", "/api/v1/proxy/x", {"Host": "h", "Authorization": "NTLM x", **alice_token.headers}))
        alice.read_head()
        eventually(lambda: gateway.plane.upstream.pool.open == 0)
    assert not gateway.plane.upstream.pool.bound


@pytest.mark.parametrize(
    ("authorization", "handshake"),
    [
        (b"", Handshake.NONE),
        (b"Basic dXNlcjpwYXNz", Handshake.NONE),
        (b"BEARER a.b.c", Handshake.NONE),
        (b'Digest username="ntlm user"', Handshake.CONTINUES),  # in doubt, the connection is bound
        (b"NTLM TlRMTVNTUAABB4IIAA==", Handshake.STARTS),
        (b" ntlm \t TlRMTVNTUAADGAAYAA==", Handshake.CONTINUES),
        (b"Negotiate YIIGeAYGKwYBBQUC", Handshake.STARTS),
        (b"Negotiate oYIBKzCCASeg", Handshake.CONTINUES),
        (b"Negotiate TlRMTVNTUAADGAAYAA==", Handshake.CONTINUES),
        (b"0123456789abcdef", Handshake.CONTINUES),
    ],
)
def test_messages_of_clients(authorization, handshake):
    assert handshake_of(authorization) is handshake


@pytest.mark.parametrize(
    ("challenge", "is_bound", "has_message"),
    [
        (b"", False, False),
        (b'Basic realm="a, b", charset="UTF-8"', False, False),
        (b'Bearer realm=x, error="invalid_token"', False, False),
        (b"NTLM", True, False),
        (b"Basic realm=x, NTLM", True, False),
        (b"negotiate oYIBKzCCASeg==", True, True),
        (b"Negotiate oY==, Basic realm=x", True, True),
        (b'Basic realm="unclosed, NTLM', True, False),
    ],
)
def test_challenges_of_upstreams(challenge, is_bound, has_message):
    assert (is_connection_bound(challenge), expects_next_message(challenge)) == (is_bound, has_message)
