"""Forwarded requests and responses, which arrive unchanged in both directions."""

import pytest

from proxy.models import ProxySession
from proxy.tests.support.downloads import download_content
from proxy.tests.support.raw_client import connected, exchange, head
from proxy.tests.support.servers import once

MIB = 2**20
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"


class TestRequests:
    def test_methods(self, gateway, recorded, alice_token):
        client = gateway.client(alice_token)
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            recorded.response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if method == "HEAD" else b"ok")
            response = client.request(method, "/x")
            assert (response.status_code, response.content) == (200, b"" if method == "HEAD" else b"ok")
            assert recorded.last.line == f"{method} /x HTTP/1.1".encode()
            assert recorded.last.body == b""

    # cases C37, C39
    def test_path_and_query_byte_for_byte(self, gateway, recorded, alice_token):
        for target in [
            "/", "//", "//evil.example/x", "/../x", "/a/../../x", "/./x", "/%2e%2e/x", "/..%2fx", "/%252e",
            "/a//b///c", "/x?;a", "/;x", "/a;b=c;d", "/%00", "/%0d%0aX:%20y", "/%c0%ae%c0%ae/", "/@evil.example",
            "/:80", "/a%zz", "/%", "/a+b", "/~a!$&'()*,=:@|^`{}[]\"<>", "/x?x=%2F&y=a+b&z=%20", "/x?a=b?c=d",
            "/x?&&==", "/x?a=%zz&b=%", "/x?a=/../b", "/x?" + "q" * 8000, "/" + "p" * 8000, "/http://evil.example/",
            "/status/", "/session", "/\\evil.example", "/%E2%82%AC?%e2%82%ac", "/x?{}|\\^[]`\"<>'",
        ]:  # fmt: skip
            request = head("GET", f"/api/v1/proxy{target}", {"Host": "h", **alice_token.headers})
            response = exchange(gateway.port, request)
            assert (response.status, response.body) == (200, b"ok"), target
            assert recorded.last.target.decode() == target
            assert recorded.last.header(b"host") == f"127.0.0.1:{recorded.port}".encode()

    def test_the_prefix_itself_is_the_root(self, gateway, recorded, alice_token):
        for target, arrives in (("", b"/"), ("?a=b", b"/?a=b"), ("/", b"/"), ("/?", b"/?")):
            request = head("GET", f"/api/v1/proxy{target}", {"Host": "h", **alice_token.headers})
            assert exchange(gateway.port, request).status == 200
            assert recorded.last.target == arrives

    # case C39
    @pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
    def test_an_empty_query_keeps_its_question_mark(self, gateway, recorded, alice_token, version):
        for target in ("/path?", "/path", "/path??", "/path?a?", "/%3F?", "/path/?", "/path?&", "/path?%3F"):
            for method, body in (("GET", b""), ("POST", b"body")):
                headers = {"Host": "h", "Content-Length": len(body), **alice_token.headers}
                request = head(method, f"/api/v1/proxy{target}", headers, version=version) + body
                assert exchange(gateway.port, request).status == 200
                assert (recorded.last.target.decode(), recorded.last.body) == (target, body)

    # case C39
    def test_question_marks_of_pipelined_requests(self, gateway, recorded, alice_token):
        targets = ["/a?", "/b", "/c?", "/d?x", "/e"]
        with connected(gateway.port) as client:
            for target in targets:
                more = [b"Connection: close"] if target == targets[-1] else []
                client.send(head("GET", f"/api/v1/proxy{target}", {"Host": "h", **alice_token.headers}, *more))
            assert client.read_rest().count(b"HTTP/1.1 200 OK\r\n") == len(targets)
        assert [request.target.decode() for request in recorded.requests] == targets

    def test_a_query_beyond_ascii(self, gateway, recorded, alice_token):
        """Forward the query unchanged or deny it with 400. RFC 3986 forbids it, but many clients send it."""
        for query in ("x=я".encode(), b"x=\xff\xfe"):
            request = head("GET", b"/api/v1/proxy/x?" + query, {"Host": "h", **alice_token.headers})
            response = exchange(gateway.port, request)
            assert response.status == 400 or recorded.last.target == b"/x?" + query

    def test_a_neighbour_of_the_prefix_is_not_proxied(self, gateway, recorded, alice_token):
        for path in ("/api/v1/proxyx", "/api/v1/prox", "/api/v1/Proxy/x", "/api/v1/proxy%2fx", "//api/v1/proxy/x"):
            response = exchange(gateway.port, head("GET", path, {"Host": "127.0.0.1", **alice_token.headers}))
            assert response.status == 404
        assert recorded.requests == []

    def test_the_base_path_of_the_target(self, gateway, recorded, alice_token):
        gateway.restart(ZENZEFI_TARGET_URL=recorded.url + "/base/app")
        client = gateway.client(alice_token)
        assert client.get("/x?y=1").status_code == 200
        assert recorded.last.target == b"/base/app/x?y=1"


class TestResponses:
    def test_statuses(self, gateway, alice_token):
        client = gateway.client(alice_token)
        for status in (200, 201, 202, 203, 300, 302, 400, 401, 403, 404, 418, 429, 451, 500, 502, 503, 599):
            response = client.get(f"/status/{status}")
            assert (response.status_code, response.json()) == (status, {"status": status})
            # With this header a client tells the gateway's 401 from the upstream's.
            assert "X-Zenzefi-Error" not in response.headers

    # case C48
    def test_responses_without_a_body(self, gateway, recorded, alice_token):
        client = gateway.client(alice_token)
        for response in (
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n',
            b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 1234\r\n\r\n',
            b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ):
            recorded.response = response
            for _ in range(2):  # The second response shows that the connection stays in step.
                got = client.get("/x")
                assert (got.status_code, got.content) == (int(response[9:12]), b"")
        assert recorded.connections == 1

    # case C48
    @pytest.mark.parametrize(
        ("method", "response"),
        [
            ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
            ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"),
            ("HEAD", b"HTTP/1.1 404 Not Found\r\n\r\n"),
            ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
            ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nwrong"),
            ("DELETE", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwrong\r\n0\r\n\r\n"),
            ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
            ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nwrong"),
        ],
    )
    # case C48
    def test_no_byte_follows_the_head_of_such_a_response(self, gateway, recorded, alice_token, method, response):
        async def script(request, connection):
            await connection.send(response if request.target == b"/x" else b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nok")
            return request.target == b"/x"

        recorded.response = script
        given = {"Host": "h", **alice_token.headers}
        with connected(gateway.port) as client:
            client.send(head(method, "/api/v1/proxy/x", given))
            client.send(head("GET", "/api/v1/proxy/next", given, b"Connection: close"))
            first, second = client.read_rest().split(b"HTTP/1.1 ")[1:]
        assert first.startswith(response[9:12])
        assert first.endswith(b"\r\n\r\n")
        assert first.count(b"\r\n\r\n") == 1
        # A 204 response must not have a Content-Length (RFC 9110 §8.6).
        assert (b"content-length" in first) == (b"Content-Length" in response and b" 204 " not in response)
        assert second.startswith(b"200 OK\r\nx: y\r\n")

    def test_head(self, gateway, alice_token):
        client = gateway.client(alice_token)
        for path in ("/download/1MB", "/download/1MB?chunked=1", "/certificates", "/certificates/1"):
            get, got = client.get(path), client.head(path)
            assert (got.status_code, got.content) == (200, b"")
            for name in ("Content-Type", "Content-Length", "ETag"):
                assert got.headers.get(name) == get.headers.get(name)

    # case C48
    def test_ranges(self, gateway, alice_token):
        client = gateway.client(alice_token)
        whole = download_content(10**6)
        etag = client.head("/download/1MB").headers["ETag"]
        for given, first, last in (("0-0", 0, 0), ("500000-600000", 500_000, 600_000), ("-5", 999_995, 999_999)):
            response = client.get("/download/1MB", headers={"Range": f"bytes={given}", "If-Range": etag})
            assert response.status_code == 206
            assert response.headers["Content-Range"] == f"bytes {first}-{last}/1000000"
            assert response.content == whole[first : last + 1]
        assert client.get("/download/1MB", headers={"Range": "bytes=0-0", "If-Range": '"old"'}).content == whole
        response = client.get("/download/1MB", headers={"Range": "bytes=1000000-"})
        assert (response.status_code, response.headers["Content-Range"]) == (416, "bytes */1000000")
        response = client.get("/download/1MB", headers={"If-None-Match": etag})
        assert (response.status_code, response.content, response.headers["ETag"]) == (304, b"", etag)

    def test_multipart_ranges(self, gateway, recorded, alice_token):
        body = b"--b\r\nContent-Range: bytes 0-0/9\r\n\r\na\r\n--b--\r\n"
        recorded.response = (
            b"HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=b\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        response = gateway.client(alice_token).get("/x", headers={"Range": "bytes=0-0,2-3"})
        assert (response.status_code, response.content) == (206, body)
        assert recorded.last.header(b"range") == b"bytes=0-0,2-3"

    def test_several_cookies(self, gateway, alice_token):
        response = gateway.client(alice_token).get("/cookies")
        names = [line.partition("=")[0] for line in response.headers.get_list("Set-Cookie")]
        assert names == ["plain", "everywhere", "narrow", "domain", "secure", "removed"]

    def test_an_encoded_body_stays_unchanged(self, gateway, recorded, alice_token):
        recorded.response = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip"
        request = head("GET", "/api/v1/proxy/x", {"Host": "h", "Accept-Encoding": "gzip", **alice_token.headers})
        response = exchange(gateway.port, request)
        assert (response.headers["Content-Encoding"], response.body) == ("gzip", b"not gzip")
        assert recorded.last.header(b"accept-encoding") == b"gzip"

    def test_a_body_that_ends_with_the_connection(self, gateway, recorded, alice_token):
        recorded.response = once(STREAM + b"\r\nuntil the end")
        response = gateway.client(alice_token).get("/x")
        assert (response.status_code, response.content) == (200, b"until the end")

    def test_early_hints_and_trailers_are_dropped(self, gateway, recorded, alice_token):
        # case C49
        recorded.response = (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
            b"Trailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nSet-Cookie: evil=1\r\n\r\n"
        )
        for _ in range(2):
            response = gateway.client(alice_token).get("/x")
            assert (response.status_code, response.content) == (200, b"ok")
            assert not {"x-sum", "set-cookie", "trailer", "link"} & set(response.headers)

    # case C42
    def test_redirects_are_forwarded(self, gateway, alice_token, demo_upstream):
        client = gateway.client(alice_token)
        prefix = "/api/v1/proxy"
        for location, seen in (
            ("/certificates", f"{prefix}/certificates"),
            (f"{demo_upstream.url}/x?y#z", f"{prefix}/x?y#z"),
            (demo_upstream.url, f"{prefix}/"),
            ("next", "next"),
            ("?page=2", "?page=2"),
            ("https://elsewhere.example/x", "https://elsewhere.example/x"),
            ("//elsewhere.example/x", "//elsewhere.example/x"),
            (f"{demo_upstream.url}0/x", f"{demo_upstream.url}0/x"),
            ("http://127.0.0.1.evil.example/x", "http://127.0.0.1.evil.example/x"),
            (f"{demo_upstream.url}@evil.example/x", f"{demo_upstream.url}@evil.example/x"),
        ):
            response = client.get("/redirect", params={"to": location})
            assert (response.status_code, response.headers["Location"]) == (302, seen)

    # case C42
    @pytest.mark.parametrize("status", [201, 301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, gateway, recorded, alice_token, status):
        headers = {"Host": "h", "Content-Length": "4", "Connection": "close", **alice_token.headers}
        for location, seen in (
            (recorded.url + "/there?x=%2F", "/api/v1/proxy/there?x=%2F"),
            ("//other.example/there", "//other.example/there"),
            ("http://169.254.169.254/latest", "http://169.254.169.254/latest"),
        ):
            recorded.requests.clear()
            recorded.response = f"HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 2\r\n\r\nok".encode()
            with connected(gateway.port) as client:
                client.send(head("POST", "/api/v1/proxy/x", headers) + b"body")
                response = client.read_rest()
            assert response.startswith(b"HTTP/1.1 %d " % status)
            assert b"\r\nlocation: " + seen.encode() + b"\r\n" in response
            assert response.endswith(b"\r\n\r\nok")
            assert [(request.target, request.body) for request in recorded.requests] == [(b"/x", b"body")]


def test_bytes_are_counted_in_both_directions(gateway, alice_token):
    client = gateway.client(alice_token)
    assert client.post("/upload", content=b"x" * 1000).status_code == 200
    received = len(client.get("/download/5000").content)
    assert received == 5000
    gateway.run(gateway.plane.flush.run())
    session = ProxySession.objects.get()
    assert session.request_count == 2
    assert session.bytes_transferred >= 6000
