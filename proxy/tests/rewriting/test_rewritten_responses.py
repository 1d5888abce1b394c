"""Responses that the gateway rewrites for a browser with the cookie under the prefix."""

import gzip
import time
import zlib

import brotli
import httpx
import pytest

from proxy.dataplane.rewriting import encoding
from proxy.dataplane.rewriting.encoding import zstd
from proxy.dataplane.rules.cookies import sign_access
from proxy.tests.support.servers import eventually

P = b"/api/v1/proxy"
PAGE = b"<!doctype html><html><head><title>x</title></head><body><a href='/x?a=1&amp;b=2'>x</a></body></html>"
LINKED = PAGE.replace(b"'/x?", b"'" + P + b"/x?")


def response_of(body, *fields, status=b"200 OK", kind=b"text/html; charset=utf-8"):
    lines = [b"HTTP/1.1 " + status, b"Content-Type: " + kind, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.fixture
def browser(gateway, recorded, alice_token):
    """Return a client with the browser's cookie and a browser's `Accept-Encoding`."""
    cookie = f"zenzefi_access={sign_access(alice_token.token.digest, alice_token.device)}"
    return gateway.client(headers={"Cookie": cookie, "Accept-Encoding": "gzip, deflate, br, zstd"})


def with_script(gateway, page=LINKED):
    """Return the page with the script of the gateway."""
    return page.replace(b"<head>", b"<head>" + gateway.plane.rewriting.script.element)


class TestConditions:
    def test_a_page_for_the_cookie_is_rewritten(self, gateway, recorded, browser):
        recorded.response = response_of(PAGE)
        response = browser.get("/")
        assert response.content == with_script(gateway)
        assert "content-length" not in response.headers
        assert response.headers["vary"] == "accept-encoding, sec-fetch-dest"

    def test_a_page_for_header_credentials_stays_unchanged(self, recorded, gateway, alice_token):
        recorded.response = response_of(PAGE, b'ETag: "1"', b"Accept-Ranges: bytes", b"Link: </x>; rel=preload")
        headers = {"Accept-Encoding": "exotic, br", "Range": "bytes=0-1,5-6"}
        response = gateway.client(alice_token, headers=headers).get("/")
        assert response.content == PAGE
        assert (response.headers["etag"], response.headers["accept-ranges"]) == ('"1"', "bytes")
        assert response.headers["link"] == "</x>; rel=preload"
        assert recorded.last.header(b"accept-encoding") == b"exotic, br"
        assert recorded.last.header(b"range") == b"bytes=0-1,5-6"

    def test_header_credentials_take_precedence_over_the_cookie(self, gateway, recorded, browser, alice_token):
        recorded.response = response_of(PAGE)
        assert browser.get("/", headers=alice_token.headers).content == PAGE

    def test_a_page_that_a_script_fetches_gets_no_script(self, recorded, browser):
        recorded.response = response_of(PAGE)
        assert browser.get("/", headers={"Sec-Fetch-Dest": "empty"}).content == LINKED

    @pytest.mark.parametrize(
        ("kind", "fields"),
        [
            (b"application/json", []),
            (b"text/javascript", []),
            (b"image/svg+xml", []),
            (b"text/html; charset=utf-16le", []),
            (b"text/html; charset=ISO-2022-JP", []),
            (b"text/html", [b"Content-Encoding: exotic"]),
            (b"text/html", [b"Content-Encoding: gzip, exotic"]),
            (b"text/html", [b"Cache-Control: max-age=5, no-transform"]),  # case C52
            (b"text/html", [b"Content-Disposition: attachment; filename=page.html"]),
        ],
    )
    def test_other_responses_stay_unchanged(self, recorded, browser, kind, fields):
        recorded.response = response_of(PAGE, *fields, b'ETag: "1"', b"Accept-Ranges: bytes", kind=kind)
        with browser.stream("GET", "/") as response:
            assert b"".join(response.iter_raw()) == PAGE
        assert response.headers["content-length"] == str(len(PAGE))
        assert (response.headers["etag"], response.headers["accept-ranges"]) == ('"1"', "bytes")

    def test_utf_16_with_a_byte_order_mark_stays_unchanged(self, recorded, browser):
        page = b"\xff\xfe" + PAGE.decode().encode("utf-16-le")
        recorded.response = response_of(page, kind=b"text/html")
        assert browser.get("/").content == page


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


# case C52
class TestEncodings:
    @pytest.mark.parametrize("coding", CODINGS)
    def test_each_coding(self, gateway, recorded, browser, coding):
        recorded.response = response_of(CODINGS[coding](PAGE), b"Content-Encoding: " + coding.encode())
        response = browser.get("/")
        assert (response.content, response.headers["content-encoding"]) == (with_script(gateway), "gzip")
        response = browser.get("/", headers={"Accept-Encoding": coding.removeprefix("x-") + ", identity"})
        assert response.content == with_script(gateway)
        assert response.headers.get("content-encoding") == ("gzip" if "gzip" in coding else None)

    def test_deflate_without_its_header(self, gateway, recorded, browser):
        recorded.response = response_of(raw_deflate(PAGE), b"Content-Encoding: deflate")
        assert browser.get("/").content == with_script(gateway)

    def test_several_members_and_frames(self, gateway, recorded, browser):
        for coding in ("gzip", "zstd"):
            pack = CODINGS[coding]
            recorded.response = response_of(
                pack(PAGE[:50]) + pack(PAGE[50:]), b"Content-Encoding: " + coding.encode()
            )
            assert browser.get("/").content == with_script(gateway)

    def test_nested_codings(self, gateway, recorded, browser):
        body = zstd.compress(brotli.compress(gzip.compress(PAGE)))
        recorded.response = response_of(body, b"Content-Encoding: gzip, br", b"Content-Encoding: zstd")
        response = browser.get("/")
        assert (response.content, response.headers["content-encoding"]) == (with_script(gateway), "gzip")

    @pytest.mark.parametrize(
        ("accepted", "forwarded"),
        [
            ("gzip, deflate, br, zstd, dcb, dcz", b"gzip, deflate, br, zstd"),
            ("br;q=1.0, *;q=0.5, exotic", b"br;q=1.0"),
            ("exotic", b"identity"),
            ("identity;q=0, gzip", b"identity;q=0, gzip"),
        ],
    )
    def test_only_known_codings_are_requested(self, recorded, browser, accepted, forwarded):
        browser.get("/", headers={"Accept-Encoding": accepted})
        assert recorded.last.header(b"accept-encoding") == forwarded

    @pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
    def test_a_decompression_bomb_is_cut_off(self, gateway, recorded, browser, coding):
        size = 200 * 1024 * 1024
        recorded.response = response_of(bomb(coding, size), b"Content-Encoding: " + coding.encode())
        with browser.stream("GET", "/", headers={"Accept-Encoding": coding}) as response:
            size, is_aborted = received_size(response)
        assert is_aborted
        assert size <= max(encoding.MAX_DECODED, encoding.MAX_RATIO * 200 * 1024) + 2 * encoding.PIECE
        eventually(lambda: not gateway.plane.in_flight)

    def test_a_nested_decompression_bomb_is_cut_off(self, gateway, recorded, browser):
        recorded.response = response_of(
            gzip.compress(bomb("gzip", 200 * 1024 * 1024)), b"Content-Encoding: gzip, gzip"
        )
        with pytest.raises(httpx.RemoteProtocolError):
            browser.get("/")

    @pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
    def test_invalid_content_is_aborted(self, recorded, browser, coding):
        for body in (b"no such thing at all", CODINGS[coding](PAGE)[:-5]):
            recorded.response = response_of(body, b"Content-Encoding: " + coding.encode())
            with pytest.raises(httpx.RemoteProtocolError):
                browser.get("/")

    def test_a_stream_is_forwarded_without_delay(self, gateway, recorded, browser):
        """Flush the rewritten part as soon as it arrives, through gzip, too."""

        async def respond(_request, connection):
            packer = zlib.compressobj(wbits=31)
            begin = packer.compress(b"<html><body><p>now</p>") + packer.flush(zlib.Z_SYNC_FLUSH)
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
            )
            await connection.send(head + begin)
            await connection.wait_closed()

        recorded.response = respond
        started = time.monotonic()
        with browser.stream("GET", "/") as response:
            got = b""
            for piece in response.iter_bytes():
                got += piece
                if b"<p>now</p>" in got:
                    break
        assert time.monotonic() - started < 5


def received_size(response):
    """Return the number of bytes that arrive, and whether the response is aborted."""
    size = 0
    try:
        for piece in response.iter_raw():
            size += len(piece)
    except httpx.RemoteProtocolError:
        return size, True
    return size, False


def bomb(coding, size):
    """Return so many zero bytes, compressed."""
    blocks = [bytes(2**20)] * (size // 2**20)
    if coding == "br":
        packer = brotli.Compressor(quality=1)
        return b"".join(packer.process(block) for block in blocks) + packer.finish()
    packer = zstd.ZstdCompressor() if coding == "zstd" else zlib.compressobj(9, wbits=31 if coding == "gzip" else 15)
    return b"".join(packer.compress(block) for block in blocks) + packer.flush()


# case C52
class TestValidators:
    def test_the_entity_tag_is_weak_and_restored_in_requests(self, recorded, browser):
        for given in ('"a1"', 'W/"a1"'):
            recorded.response = response_of(PAGE, b"ETag: " + given.encode())
            tag = browser.get("/").headers["etag"]
            assert tag.startswith('W/"a1-z')
            for name in ("If-None-Match", "If-Match"):
                browser.get("/", headers={name: f'"other", {tag}'})
                assert recorded.last.header(name.lower().encode()) == f'"other", {given}'.encode()

    def test_not_modified(self, recorded, browser):
        recorded.response = response_of(PAGE, b'ETag: "a1"')
        tag = browser.get("/").headers["etag"]
        recorded.response = b'HTTP/1.1 304 Not Modified\r\nETag: "a1"\r\n\r\n'
        response = browser.get("/", headers={"If-None-Match": tag})
        assert (response.status_code, response.headers["etag"], response.content) == (304, tag, b"")

    def test_a_tag_of_another_version_is_forwarded_unchanged(self, recorded, browser):
        browser.get("/", headers={"If-None-Match": 'W/"a1-zs00000000"'})
        assert recorded.last.header(b"if-none-match") == b'W/"a1-zs00000000"'

    def test_digests_and_lengths_are_removed(self, recorded, browser):
        fields = [b"Content-MD5: x", b"Digest: x", b"Repr-Digest: x", b"Content-Digest: x", b"Accept-Ranges: bytes"]
        recorded.response = response_of(PAGE, *fields)
        for method in ("GET", "HEAD"):
            response = browser.request(method, "/")
            assert not {field.split(b":")[0].decode().lower() for field in fields} & set(response.headers)
            assert "content-length" not in response.headers

    def test_head_has_the_fields_of_get(self, recorded, browser):
        recorded.response = response_of(PAGE, b'ETag: "a1"')
        tag = browser.get("/").headers["etag"]
        recorded.response = response_of(PAGE, b'ETag: "a1"').partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        response = browser.head("/")
        assert (response.headers["etag"], response.content) == (tag, b"")

    def test_no_content(self, recorded, browser):
        recorded.response = b"HTTP/1.1 204 No Content\r\nContent-Type: text/html\r\n\r\n"
        assert (browser.get("/").status_code, browser.get("/").content) == (204, b"")


# case C52
class TestRanges:
    def test_a_range_of_a_page_becomes_a_request_for_the_whole(self, gateway, recorded, browser):
        async def respond(request, connection):
            part = response_of(PAGE[:10], b"Content-Range: bytes 0-9/99", status=b"206 Partial Content")
            await connection.send(part if request.header(b"range") else response_of(PAGE))
            return True

        recorded.response = respond
        response = browser.get("/", headers={"Range": "bytes=0-9", "If-Range": '"x"'})
        assert (response.status_code, response.content) == (200, with_script(gateway))
        assert [request.header(b"if-range") for request in recorded.requests] == [b'"x"', None]

    def test_a_range_of_other_content_is_forwarded(self, recorded, browser):
        recorded.response = response_of(
            b"0123", b"Content-Range: bytes 0-3/9", status=b"206 Partial Content", kind=b"video/mp4"
        )
        response = browser.get("/", headers={"Range": "bytes=0-3"})
        assert (response.status_code, response.content, response.headers["content-range"]) == (
            206,
            b"0123",
            "bytes 0-3/9",
        )

    def test_several_ranges_are_not_requested(self, recorded, browser):
        browser.get("/", headers={"Range": "bytes=0-1,4-5"})
        assert recorded.last.header(b"range") is None


class TestHeaders:
    def test_urls(self, recorded, browser):
        fields = [
            b"Link: </a.css>; rel=preload, <https://elsewhere/>; rel=x",
            b"Refresh: 5; url=/next",
            b"Service-Worker-Allowed: /",
            b"Location: /there",
            b"Content-Location: /here",
            b"Set-Cookie: a=1; Path=/app; Domain=upstream",
        ]
        recorded.response = response_of(b"{}", *fields, kind=b"application/json")
        headers = browser.get("/").headers
        assert headers["link"] == "</api/v1/proxy/a.css>; rel=preload, <https://elsewhere/>; rel=x"
        assert headers["refresh"] == "5; url=/api/v1/proxy/next"
        assert headers["service-worker-allowed"] == "/api/v1/proxy/"
        assert (headers["location"], headers["content-location"]) == ("/api/v1/proxy/there", "/api/v1/proxy/here")
        assert headers["set-cookie"] == "a=1; Path=/api/v1/proxy/app"

    def test_the_content_security_policy(self, gateway, recorded, browser):
        origin = recorded.url.encode()
        stated = b"Content-Security-Policy: script-src " + origin + b"/js/; img-src 'self'"
        recorded.response = response_of(PAGE, stated)
        policy = browser.get("/").headers["content-security-policy"]
        allowed = gateway.plane.rewriting.script.hash_source.decode()
        assert policy == f"script-src {gateway.url}/api/v1/proxy/js/ {allowed}; img-src 'self'"

    def test_the_policy_behind_a_proxy_that_omits_the_port(self, gateway, recorded, browser):
        recorded.response = response_of(PAGE, b"Content-Security-Policy: img-src " + recorded.url.encode() + b"/")
        for host in ("127.0.0.1", gateway.url.removeprefix("http://")):
            policy = browser.get("/", headers={"Host": host}).headers["content-security-policy"]
            assert policy == f"img-src {gateway.url}/api/v1/proxy/"
        policy = browser.get("/", headers={"Host": "localhost:1"}).headers["content-security-policy"]
        assert policy == "img-src http://localhost:1/api/v1/proxy/"


# case C52
def test_the_integrity_hash_of_rewritten_css_is_removed(recorded, browser):
    page = (
        b"<head></head><link rel=stylesheet href=/a.css integrity='sha256-x'><script src=/a.js integrity='sha256-x'>"
        b"</script><link rel=stylesheet href=https://cdn/a.css integrity='sha256-x'>"
    )
    recorded.response = response_of(page)
    got = browser.get("/").content
    assert b"<link rel=stylesheet href=/api/v1/proxy/a.css >" in got
    assert b"<script src=/api/v1/proxy/a.js integrity='sha256-x'></script>" in got
    assert b"<link rel=stylesheet href=https://cdn/a.css integrity='sha256-x'>" in got


def test_css(recorded, browser):
    recorded.response = response_of(b"@import '/a.css'; b { c: url(/d.png) }", kind=b"text/css")
    assert browser.get("/").content == b"@import '/api/v1/proxy/a.css'; b { c: url(/api/v1/proxy/d.png) }"


def test_the_sent_bytes_are_counted(gateway, recorded, browser):
    recorded.response = response_of(gzip.compress(PAGE), b"Content-Encoding: gzip")
    with browser.stream("GET", "/") as response:
        sent = len(b"".join(response.iter_raw()))
    assert browser.get("/status").json()["bytes_transferred"] == sent
