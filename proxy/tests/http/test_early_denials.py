"""Denials of requests that the gateway has not read to the end, in the language and with the id of the client."""

import re

import pytest

from proxy.tests.support.header_limits import MAX_HEADER_BYTES
from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import eventually

pytestmark = pytest.mark.embedded

CHUNKED = b"Transfer-Encoding: chunked"


class TestFieldsBeforeTheError:
    """The request id and the language that precede the error in the request."""

    FIELDS = {"Host": "h", "X-Request-ID": "number-0001", "Accept-Language": "ru"}

    def assert_uses_the_fields(self, response, status):
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
    def test_they_are_used(self, limited, more, status):
        with connected(limited.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", self.FIELDS)[:-2] + more)
            self.assert_uses_the_fields(client.read_response("POST"), status)

    def test_an_error_in_the_body(self, limited, alice_token):
        with connected(limited.port) as client:
            client.send(
                head("POST", "/api/v1/proxy/x", {**self.FIELDS, **alice_token.headers}, CHUNKED) + b"1\r\nx\r\n"
            )
            eventually(lambda: len(limited.plane.in_flight) == 1)
            client.send(b"x\r\n")
            self.assert_uses_the_fields(client.read_response("POST"), 400)

    @pytest.mark.parametrize(("more", "status"), [(b"\r\n", 408), (b"GET / HTTP/1.1\r\nX", 408), (b"x\r\n", 400)])
    def test_those_of_the_previous_request_are_not_used(self, limited, more, status):
        with connected(limited.port) as client:
            client.send(head("GET", "/api/v1/proxy/x", self.FIELDS))
            assert client.read_response().headers["X-Request-ID"] == "number-0001"
            client.send(more)
            response = client.read_response()
            assert response.status == status
            assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])
