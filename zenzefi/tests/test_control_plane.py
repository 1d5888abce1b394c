"""Chunked requests to Django, which its handler alone would misread."""

import json
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from zenzefi import control_plane

CHUNKED = (b"transfer-encoding", b"chunked")


def request(path: str, *headers: tuple[bytes, bytes]) -> ApplicationCommunicator:
    return ApplicationCommunicator(
        control_plane.application,
        {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json"), *headers],
        },
    )


async def response(sent: ApplicationCommunicator) -> tuple[int, Any]:
    start = await sent.receive_output()
    body = await sent.receive_output()
    await sent.wait()
    return start["status"], json.loads(body["body"])


# Some HTTP clients (.NET) send JSON in chunks by default.
@pytest.mark.parametrize("parts", [[b'{"email": "a@b.c", "password": 6}'], [b'{"email": "a@b.c"', b"", b"}"]])
async def test_a_chunked_body_is_read(parts: list[bytes]) -> None:
    sent = request("/api/v1/auth/login", CHUNKED)
    for part in parts:
        await sent.send_input({"type": "http.request", "body": part, "more_body": True})
    await sent.send_input({"type": "http.request"})
    status, body = await response(sent)
    assert (status, body["email"]) == (400, ["Enter a valid email address."])


async def test_an_empty_chunked_body_is_none() -> None:
    sent = request("/api/v1/auth/login", CHUNKED)
    await sent.send_input({"type": "http.request"})
    required = ["This field is required."]
    assert await response(sent) == (400, {"email": required, "password": required})


async def test_a_chunked_body_that_is_too_large_is_rejected_while_it_arrives() -> None:
    sent = request("/api/v1/auth/login", CHUNKED)
    for _part in range(3):
        await sent.send_input({"type": "http.request", "body": b"x" * 2**20, "more_body": True})
    status, body = await response(sent)
    assert (status, body["code"]) == (413, "payload_too_large")


async def test_a_client_that_leaves_within_a_chunked_body_gets_nothing() -> None:
    sent = request("/api/v1/auth/login", CHUNKED)
    await sent.send_input({"type": "http.request", "body": b"{", "more_body": True})
    await sent.send_input({"type": "http.disconnect"})
    assert await sent.receive_nothing()
    await sent.wait()
