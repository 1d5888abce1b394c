"""The errors of services as messages on a page."""

from typing import Any

from rest_framework.exceptions import APIException


def error_message(error: APIException) -> str:
    """Return the first message of an error; its `page_message`, if it has one, replaces the message for the API."""
    detail: Any = getattr(error, "page_message", error.detail)
    while isinstance(detail, dict | list):
        detail = next(iter(detail.values())) if isinstance(detail, dict) else detail[0]
    return str(detail)
