"""The administration API of access tokens. It never shows their secrets."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access import selectors, services
from access.api.admin.serializers import (
    AdminTokenFilterSerializer,
    AdminTokenSerializer,
    ForcedRevocationSerializer,
    ReasonSerializer,
)
from access.models import AccessToken
from accounts.api.permissions import IsSuperuser
from accounts.requests import current_user
from zenzefi.common.api.query import validated_query


class AdminTokensView(ListAPIView[AccessToken]):
    permission_classes = [IsSuperuser]
    serializer_class = AdminTokenSerializer

    def get_queryset(self) -> QuerySet[AccessToken]:
        filters = validated_query(AdminTokenFilterSerializer, self.request)
        found = selectors.tokens(active_only=filters["active_only"])
        return found.filter(user=filters["user_id"]) if "user_id" in filters else found

    @extend_schema(
        operation_id="admin_list_tokens",
        tags=["administration"],
        summary="List access tokens, newest first",
        parameters=[AdminTokenFilterSerializer],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)


class AdminTokenView(APIView):
    permission_classes = [IsSuperuser]

    @extend_schema(
        operation_id="admin_revoke_token",
        tags=["administration"],
        summary="Revoke a token by force, without a refund",
        parameters=[ReasonSerializer],
        responses={200: ForcedRevocationSerializer},
    )
    def delete(self, request: Request, token_id: UUID) -> Response:
        services.revoke_by_force(
            token_id, actor=current_user(request), reason=validated_query(ReasonSerializer, request)["reason"]
        )
        return Response(ForcedRevocationSerializer({"revoked": True}).data)
