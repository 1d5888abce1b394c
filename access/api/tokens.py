"""The API of the caller's access tokens, and the validation of any token."""

from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access import selectors, services
from access.api.serializers import (
    BoughtTokenSerializer,
    InvalidTokenSerializer,
    RefundQuoteSerializer,
    RevokedTokenSerializer,
    SecretSerializer,
    TokenExtensionSerializer,
    TokenFilterSerializer,
    TokenPurchaseSerializer,
    TokenSerializer,
    ValidTokenSerializer,
)
from access.errors import TokenNotFound
from access.models import AccessToken
from accounts.api.serializers import DetailSerializer
from accounts.requests import current_user
from billing.api.idempotency import IDEMPOTENCY_KEY, call_of
from zenzefi.common.api.query import validated_query

TAGS = ["access tokens"]


class TokenPurchaseView(APIView):
    api_token_scopes = {"POST": "tokens"}

    @extend_schema(
        operation_id="purchase_token",
        tags=TAGS,
        summary="Buy an access token",
        request=TokenPurchaseSerializer,
        responses=BoughtTokenSerializer,
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request) -> Response:
        body = TokenPurchaseSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        token = services.purchase(call_of(request, "tokens/purchase"), **body.validated_data)
        return Response(BoughtTokenSerializer(token).data)


class MyTokensView(ListAPIView[AccessToken]):
    api_token_scopes = {"GET": "tokens"}  # the list contains the tokens' secrets
    serializer_class = TokenSerializer

    def get_queryset(self) -> QuerySet[AccessToken]:
        filters = validated_query(TokenFilterSerializer, self.request)
        return selectors.tokens_of(current_user(self.request), **filters)

    @extend_schema(
        operation_id="list_my_tokens",
        tags=TAGS,
        summary="List the caller's access tokens, newest first",
        parameters=[TokenFilterSerializer],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)


class TokenValidationView(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="validate_token",
        tags=TAGS,
        summary="Validate a token without using it",
        request=SecretSerializer,
        responses=PolymorphicProxySerializer(
            "TokenValidation", [ValidTokenSerializer, InvalidTokenSerializer], resource_type_field_name=None
        ),
    )
    def post(self, request: Request) -> Response:
        body = SecretSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        token, now = selectors.find_by_secret(body.validated_data["token"]), timezone.now()
        reason = selectors.denial_reason(token, now)
        if token is None or reason:
            return Response(InvalidTokenSerializer({"valid": False, "reason": reason}).data)
        return Response(ValidTokenSerializer(token, context={"now": now}).data)


class RefundQuoteView(APIView):
    api_token_scopes = {"GET": "read"}

    @extend_schema(
        operation_id="quote_refund",
        tags=TAGS,
        summary="Quote the refund for revoking a token now",
        responses=RefundQuoteSerializer,
    )
    def get(self, request: Request, token_id: UUID) -> Response:
        token = selectors.tokens_of(current_user(request)).filter(pk=token_id).first()
        if token is None:
            raise TokenNotFound
        quote = selectors.refund_quote(token, timezone.now())
        return Response(RefundQuoteSerializer(quote).data)


class TokenView(APIView):
    api_token_scopes = {"DELETE": "tokens"}

    @extend_schema(
        operation_id="revoke_token",
        tags=TAGS,
        summary="Revoke a token and refund the unused time",
        responses={200: RevokedTokenSerializer},
        parameters=[IDEMPOTENCY_KEY],
    )
    def delete(self, request: Request, token_id: UUID) -> Response:
        revoked = services.revoke_with_refund(call_of(request, "tokens/revoke", token_id), token_id)
        return Response(RevokedTokenSerializer(revoked).data)


class TokenExtensionView(APIView):
    api_token_scopes = {"POST": "tokens"}

    @extend_schema(
        operation_id="extend_token",
        tags=TAGS,
        summary="Buy more time for an active token; open connections are not interrupted",
        request=TokenExtensionSerializer,
        responses=BoughtTokenSerializer,
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request, token_id: UUID) -> Response:
        body = TokenExtensionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        call = call_of(request, "tokens/extend", token_id)
        token = services.extend(call, token_id, **body.validated_data)
        return Response(BoughtTokenSerializer(token).data)


class DeviceResetView(APIView):
    api_token_scopes = {"POST": "tokens"}

    @extend_schema(
        operation_id="reset_device",
        tags=TAGS,
        summary="Reset the device of a token and cut off its connections",
        request=None,
        responses=DetailSerializer,
    )
    def post(self, request: Request, token_id: UUID) -> Response:
        services.reset_device(current_user(request), token_id)
        return Response(
            DetailSerializer({"detail": _("The device was reset. Another device can use the token now.")}).data
        )
