"""The limit on the size of a request's header block, as tests set it."""

from typing import Any

MAX_HEADER_BYTES = 8192
FIELDS_TOO_LARGE = {"detail": "The header fields of the request are too large.", "code": "bad_request"}


def assert_too_large(response: Any) -> None:
    """Check that the response is the denial of a header block above the limit."""
    assert (response.status, response.json()) == (431, FIELDS_TOO_LARGE)
    assert (response.headers["X-Zenzefi-Error"], response.headers["Connection"]) == ("bad_request", "close")
