"""Bodies of requests, as the upstream receives them."""

import base64
import hashlib
import time

import pytest

from proxy.tests.support.downloads import download_content
from proxy.tests.support.raw_client import connected, exchange, head
from proxy.tests.support.servers import eventually, once

MIB = 2**20
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"


def test_small_bodies(gateway, alice_token):
    client = gateway.client(alice_token)
    for body in (b"", b"x", b"\x00\r\n\r\nGET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 200):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            echoed = client.request(method, "/echo", content=body).json()
            assert (echoed["method"], base64.b64decode(echoed["body_base64"])) == (method, body)
            lengths = [value for name, value in echoed["headers"] if name == "content-length"]
            stated = body or method != "DELETE"  # httpx sends no length for an empty DELETE
            assert lengths == ([str(len(body))] if stated else [])


# case C51
def test_a_large_upload(gateway, alice_token):
    body = download_content(20 * MIB)
    digest = hashlib.sha256(body).hexdigest()
    response = gateway.client(alice_token).post("/upload", content=body)
    assert response.json() == {"bytes": len(body), "sha256": digest}


def test_a_large_chunked_upload(gateway, alice_token):
    body = download_content(20 * MIB)
    pieces = (body[start : start + 65_521] for start in range(0, len(body), 65_521))
    response = gateway.client(alice_token).put("/upload", content=pieces)
    assert response.json() == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_large_downloads(gateway, alice_token):
    digest = hashlib.sha256(download_content(20 * MIB)).hexdigest()
    for query, length in (("", str(20 * MIB)), ("?chunked=1", None)):
        response = gateway.client(alice_token).get(f"/download/20MiB{query}")
        assert response.status_code == 200
        assert response.headers.get("Content-Length") == length
        assert hashlib.sha256(response.content).hexdigest() == digest


def test_an_upload_arrives_while_it_is_sent(gateway, recorded, alice_token):
    arrived = []

    async def script(_request, connection):
        while b"0\r\n\r\n" not in b"".join(arrived):
            arrived.append(await connection.reader.read(65536))
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    # The upstream reads only the header block before it runs the script.
    recorded.response = script
    recorded.reads_bodies = False
    headers = {"Host": "h", "Transfer-Encoding": "chunked", **alice_token.headers}
    with connected(gateway.port) as client:
        client.send(head("POST", "/api/v1/proxy/x", headers))
        client.send(b"5\r\nfirst\r\n")
        eventually(lambda: b"first" in b"".join(arrived))
        client.send(b"6\r\nsecond\r\n")
        eventually(lambda: b"second" in b"".join(arrived))
        client.send(b"0\r\n\r\n")
        assert client.read_response().status == 200


# case G81
def test_chunk_extensions_and_sizes(gateway, alice_token):
    headers = {"Host": "h", "Transfer-Encoding": "chunked", **alice_token.headers}
    request = head("POST", "/api/v1/proxy/echo", headers)
    response = exchange(gateway.port, request + b"00A;x=y\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n")
    assert base64.b64decode(response.json()["body_base64"]) == b"0123456789x"


def test_a_get_with_a_body(gateway, recorded, alice_token):
    assert gateway.client(alice_token).request("GET", "/x", content=b"body").status_code == 200
    assert (recorded.last.header(b"content-length"), recorded.last.body) == (b"4", b"body")


# case C49
def test_expect_100_continue(gateway, recorded, alice_token):
    headers = {"Host": "h", "Content-Length": "4", "Expect": "100-continue", **alice_token.headers}
    with connected(gateway.port) as client:
        client.send(head("POST", "/api/v1/proxy/x", headers))
        assert client.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"body")
        assert client.read_response().status == 200
    assert recorded.last.body == b"body"
    assert recorded.last.header(b"expect") is None


# case C49
@pytest.mark.parametrize("space", [b" ", b"\t"])
def test_whitespace_after_the_expectation(gateway, recorded, alice_token, space):
    headers = {"Host": "h", "Content-Length": "4", **alice_token.headers}
    with connected(gateway.port) as client:
        client.send(head("POST", "/api/v1/proxy/x", headers, b"Expect: 100-continue" + space))
        assert client.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"body")
        assert client.read_response().status == 200


# case C49
def test_a_client_of_http_1_0_gets_no_100_continue(gateway, recorded, alice_token):
    """Send no 100 to HTTP/1.0, whose clients would take it for the response (RFC 9110 §10.1.1)."""
    headers = {"Content-Length": "4", "Expect": "100-continue", **alice_token.headers}
    with connected(gateway.port) as client:
        client.send(head("POST", "/api/v1/proxy/x", headers, version="HTTP/1.0"))
        time.sleep(0.2)
        client.send(b"body")
        assert client.read_head().startswith(b"HTTP/1.1 200 OK\r\n")
    assert recorded.last.body == b"body"


def test_a_denied_request_gets_no_100_continue(gateway, recorded, alice_token):
    headers = {"Host": "h", "Content-Length": "4", "Expect": "100-continue"}
    with connected(gateway.port) as client:
        client.send(head("POST", "/api/v1/proxy/x", headers))
        assert client.read_head().startswith(b"HTTP/1.1 401 ")


# case G81
def test_an_early_response_to_an_upload(gateway, recorded, alice_token):
    """Forward a response that the upstream sends before it has read the body."""
    recorded.reads_bodies = False
    recorded.response = once(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    headers = {"Host": "h", "Content-Length": "1000", **alice_token.headers}
    with connected(gateway.port) as client:
        client.send(head("POST", "/api/v1/proxy/x", headers) + b"x" * 10)
        response = client.read_response()
        assert (response.status, response.body) == (413, b"big")
