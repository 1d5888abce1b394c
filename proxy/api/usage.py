"""`GET /usage`."""

from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.requests import current_user
from proxy.api.serializers import UsageQuerySerializer, UsageSerializer
from proxy.usage import usage
from zenzefi.common.api.query import query


class UsageView(APIView):
    api_token_scopes = {"GET": "read"}

    @extend_schema(
        operation_id="usage",
        tags=["usage"],
        summary="What was carried",
        parameters=[UsageQuerySerializer],
        responses=UsageSerializer,
    )
    def get(self, request: Request) -> Response:
        """By hour (`day`) or day, the silent ones too, and by token. The figures are less than half a minute old.

        Of a token that is not the caller's there are none.
        """
        user, wanted = current_user(request), query(UsageQuerySerializer, request)
        zone = ZoneInfo(user.time_zone or "UTC")
        found = usage(user, wanted["period"], zone, wanted["token_id"])
        return Response(UsageSerializer({**vars(found), "time_zone": zone.key}).data)
