"""Query parameters, checked by a serializer."""

from typing import Any

from rest_framework.request import Request
from rest_framework.serializers import Serializer


def validated_query(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """The validated query parameters. Raises DRF's `ValidationError`."""
    # As a plain dict: DRF takes a boolean that is missing from a QueryDict for an unticked box of a form.
    checked = serializer(data=request.query_params.dict())
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)
