"""Pages of lists: `{"items", "total", "limit", "offset"}`."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response

_PARAMETERS = {
    "limit": "Maximum number of items: 20 by default, at most 100.",
    "offset": "Number of items to skip at the start.",
    "skip": "Another name of `offset`.",
}
# The maximum of OFFSET in the databases (a signed 64-bit integer).
_MAX_OFFSET = 2**63 - 1


class Pagination(LimitOffsetPagination):
    """Pages by `limit` (20 by default, at most 100) and `offset`, or its alias `skip`. Other values are a 400."""

    default_limit = 20
    max_limit = 100

    def get_limit(self, request: Request) -> int | None:
        return min(_number(request, "limit", self.default_limit), self.max_limit)

    def get_offset(self, request: Request) -> int:
        return _number(request, "offset", _number(request, "skip", 0))

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"items": data, "total": self.count, "limit": self.limit, "offset": self.offset})

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": description,
                "schema": {"type": "integer", "minimum": 0},
            }
            for name, description in _PARAMETERS.items()
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        number = {"type": "integer", "minimum": 0}
        return {
            "type": "object",
            "required": ["items", "total", "limit", "offset"],
            "properties": {
                "items": schema,
                "total": number,
                "limit": number,
                "offset": number,
            },
        }


def _number(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit()) or len(value) > 19 or int(value) > _MAX_OFFSET:
        raise ValidationError({name: [_("Enter a whole number, zero or above.")]})
    return int(value)
