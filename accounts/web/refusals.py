"""What services refuse, on a page."""

from typing import Any

from rest_framework.exceptions import APIException


def sentence(refused: APIException) -> str:
    """The refusal in words; of several, the first."""
    detail: Any = refused.detail
    while not isinstance(detail, str):
        detail = next(iter(detail.values())) if isinstance(detail, dict) else detail[0]
    return str(detail)
