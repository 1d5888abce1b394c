"""Denials of requests that the gateway has not read to the end."""

import re

import pytest

from proxy.tests.support.header_limits import MAX_HEADER_BYTES
from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import eventually

pytestmark = pytest.mark.embedded

CHUNKED = b"Transfer-Encoding: chunked"


class TestWhatWasSaidBefore:
    """A refusal while the request is read is for the caller who has said who she is, and in which language."""

    ASKS = {"Host": "h", "X-Request-ID": "number-0001", "Accept-Language": "ru"}

    def assert_is_for_her(self, response, status):
        assert (response.status, response.headers["X-Request-ID"]) == (status, "number-0001")
        assert re.search("[а-я]", response.json()["detail"])

    @pytest.mark.parametrize(
        ("more", "status"),
        [
            (b"X: a\x00b\r\n\r\n", 400),
            (b"X: " + b"x" * 2 * MAX_HEADER_BYTES, 431),
            (b"X: ", 408),
            (CHUNKED + b"\r\n\r\nx\r\n", 400),
        ],
    )
    def test_it_is_heeded(self, limited, more, status):
        with connected(limited.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", self.ASKS)[:-2] + more)
            self.assert_is_for_her(client.read_response("POST"), status)

    def test_of_a_body(self, limited, alice_token):
        with connected(limited.port) as client:
            client.send(
                head("POST", "/api/v1/proxy/x", {**self.ASKS, **alice_token.headers}, CHUNKED) + b"1\r\nx\r\n"
            )
            eventually(lambda: len(limited.plane.in_flight) == 1)
            client.send(b"x\r\n")
            self.assert_is_for_her(client.read_response("POST"), 400)

    @pytest.mark.parametrize(("more", "status"), [(b"\r\n", 408), (b"GET / HTTP/1.1\r\nX", 408), (b"x\r\n", 400)])
    def test_the_request_before_is_another(self, limited, more, status):
        with connected(limited.port) as client:
            client.send(head("GET", "/api/v1/proxy/x", self.ASKS))
            assert client.read_response().headers["X-Request-ID"] == "number-0001"
            client.send(more)
            response = client.read_response()
            assert response.status == status
            assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])
