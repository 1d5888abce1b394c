"""What services refuse, on a page."""

from typing import Any

from rest_framework.exceptions import APIException


def error_message(refused: APIException) -> str:
    """The refusal in words; of several, the first. A refusal may have words of its own for pages: `page_message`."""
    detail: Any = getattr(refused, "page_message", refused.detail)
    while isinstance(detail, dict | list):
        detail = next(iter(detail.values())) if isinstance(detail, dict) else detail[0]
    return str(detail)
