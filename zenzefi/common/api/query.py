"""Query parameters, validated by a serializer."""

from typing import Any

from rest_framework.request import Request
from rest_framework.serializers import Serializer


def validated_query(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return the validated query parameters. Raises DRF's `ValidationError`."""
    # A plain dict: DRF reads a boolean that is missing from a QueryDict as an unticked box of a form, thus as false.
    checked = serializer(data=request.query_params.dict())
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)
