"""The call `GET /usage`."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.requests import current_user
from proxy.api.serializers import UsageQuerySerializer, UsageSerializer
from proxy.usage import usage_of
from zenzefi.common.api.query import validated_query
from zenzefi.common.time_zones import time_zone


class UsageView(APIView):
    """The usage of the caller's tokens."""

    api_token_scopes = {"GET": "read"}

    @extend_schema(
        operation_id="usage",
        tags=["usage"],
        summary="Usage",
        parameters=[UsageQuerySerializer],
        responses=UsageSerializer,
    )
    def get(self, request: Request) -> Response:
        """Return the usage by hour (`day`) or by day, also those without traffic, and by token.

        The figures are less than half a minute old. For a token of another user they are zero.
        """
        user, wanted = current_user(request), validated_query(UsageQuerySerializer, request)
        zone = time_zone(user.time_zone)
        found = usage_of(user, wanted["period"], zone, wanted["token_id"])
        return Response(UsageSerializer({**vars(found), "time_zone": zone.key}).data)
