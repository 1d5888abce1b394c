"""What services refuse, on a page."""

from typing import Any

from rest_framework.exceptions import APIException


def sentence(refused: APIException) -> str:
    """The refusal in words; of several, the first. A refusal may have words of its own for pages: `on_a_page`."""
    detail: Any = getattr(refused, "on_a_page", refused.detail)
    while isinstance(detail, dict | list):
        detail = next(iter(detail.values())) if isinstance(detail, dict) else detail[0]
    return str(detail)
