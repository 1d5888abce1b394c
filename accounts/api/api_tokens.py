"""`/api-tokens`: personal API tokens. An API token itself cannot call it."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import api_tokens
from accounts.api.serializers import ApiTokenCreateSerializer, ApiTokenSerializer, NewApiTokenSerializer
from accounts.models import ApiToken
from accounts.requests import current_user

_TAGS = ["api tokens"]


class ApiTokensView(ListAPIView[ApiToken]):
    serializer_class = ApiTokenSerializer
    queryset = ApiToken.objects.none()

    def get_queryset(self) -> QuerySet[ApiToken]:
        return api_tokens.for_user(current_user(self.request))

    @extend_schema(operation_id="list_api_tokens", tags=_TAGS, summary="The user's API tokens, newest first")
    def get(self, request: Request) -> Response:
        return self.list(request)

    @extend_schema(
        operation_id="create_api_token",
        tags=_TAGS,
        summary="Create an API token",
        description="The token is in this response only and cannot be retrieved later.",
        request=ApiTokenCreateSerializer,
        responses={201: NewApiTokenSerializer},
    )
    def post(self, request: Request) -> Response:
        form = ApiTokenCreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        days = form.validated_data.pop("expires_in_days")
        token, text = api_tokens.create(current_user(request), days=days, **form.validated_data)
        return Response({**ApiTokenSerializer(token).data, "token": text}, status=status.HTTP_201_CREATED)


class ApiTokenView(APIView):
    @extend_schema(operation_id="delete_api_token", tags=_TAGS, summary="Delete an API token", responses={204: None})
    def delete(self, request: Request, token_id: UUID) -> Response:
        api_tokens.revoke(current_user(request), token_id)
        return Response(status=status.HTTP_204_NO_CONTENT)
