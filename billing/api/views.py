"""`/currency/…`: the balance, its history, payments, and the providers' webhooks."""

from typing import cast

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.requests import address_of
from accounts.models import User
from billing import ledger, selectors, topups, webhooks
from billing.api.idempotency import IDEMPOTENCY_KEY, call_of
from billing.api.serializers import (
    BalanceSerializer,
    DepositSerializer,
    HistoryQuerySerializer,
    HistorySerializer,
    MockTopUpSerializer,
    PaymentSerializer,
    ReceivedSerializer,
    RefusalSerializer,
    TopUpSerializer,
)
from billing.errors import WebhookTooLarge
from billing.models import CURRENCY, Entry, Payment
from billing.providers.base import WebhookRequest

MAX_WEBHOOK_BYTES = 64 * 1024
_UNAVAILABLE = OpenApiResponse(RefusalSerializer, description="Payments of this kind are not available here")


class BalanceView(APIView):
    api_token_scopes = {"GET": "read"}

    @extend_schema(operation_id="currency_balance", tags=["currency"], responses=BalanceSerializer)
    def get(self, request: Request) -> Response:
        balance, debt = ledger.standing(_user(request))
        owed = {"debt": debt} if debt else {}
        return Response(BalanceSerializer({"balance": balance, "currency": CURRENCY, **owed}).data)


@extend_schema_view(
    get=extend_schema(operation_id="currency_transactions", tags=["currency"], parameters=[HistoryQuerySerializer])
)
class TransactionsView(ListAPIView[Entry]):
    """The user's transactions, newest first."""

    api_token_scopes = {"GET": "read"}
    serializer_class = HistorySerializer
    queryset = Entry.objects.none()

    def get_queryset(self) -> QuerySet[Entry]:
        query = HistoryQuerySerializer(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        return selectors.history(_user(self.request), **query.validated_data)


class PurchaseView(APIView):
    api_token_scopes = {"POST": "currency"}

    @extend_schema(
        operation_id="currency_purchase",
        tags=["currency"],
        parameters=[IDEMPOTENCY_KEY],
        request=TopUpSerializer,
        responses={201: PaymentSerializer, 404: _UNAVAILABLE},
    )
    def post(self, request: Request) -> Response:
        """Begin a payment: the user pays at `payment_url`, the provider's webhook credits the wallet."""
        body = TopUpSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        payment = topups.create_payment(call_of(request, "currency.purchase"), **body.validated_data)
        return Response(PaymentSerializer(payment).data, status=status.HTTP_201_CREATED)


class MockPurchaseView(APIView):
    api_token_scopes = {"POST": "currency"}

    @extend_schema(
        operation_id="currency_mock_purchase",
        tags=["currency"],
        parameters=[IDEMPOTENCY_KEY],
        request=MockTopUpSerializer,
        responses={200: DepositSerializer, 404: _UNAVAILABLE},
    )
    def post(self, request: Request) -> Response:
        """Credit the wallet at once, without paying; only where the mock provider is configured."""
        body = MockTopUpSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        moved = topups.mock_purchase(call_of(request, "currency.mock-purchase"), **body.validated_data)
        return Response(DepositSerializer(moved).data)


@extend_schema_view(get=extend_schema(operation_id="currency_payments", tags=["currency"]))
class PaymentsView(ListAPIView[Payment]):
    """The user's payments, newest first."""

    api_token_scopes = {"GET": "read"}
    serializer_class = PaymentSerializer
    queryset = Payment.objects.none()

    def get_queryset(self) -> QuerySet[Payment]:
        return selectors.payments_of(_user(self.request))


@extend_schema_view(get=extend_schema(operation_id="currency_payment", tags=["currency"]))
class PaymentView(RetrieveAPIView[Payment]):
    """One of the user's payments."""

    api_token_scopes = {"GET": "read"}
    serializer_class = PaymentSerializer
    queryset = Payment.objects.none()
    lookup_url_kwarg = "payment_id"

    def get_queryset(self) -> QuerySet[Payment]:
        return selectors.payments_of(_user(self.request))


class WebhookView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()  # a provider sends many from few addresses; a forged one costs one HMAC

    @extend_schema(
        operation_id="currency_webhook",
        tags=["currency"],
        request={"application/json": {"type": "object"}},
        responses={
            200: ReceivedSerializer,
            413: OpenApiResponse(RefusalSerializer, description="The body is larger than 64 KiB"),
        },
    )
    def post(self, request: Request, provider: str) -> Response:
        """A payment provider's message; signed by the provider, safe to repeat."""
        with webhooks.refusals_counted(provider):
            sent = WebhookRequest(request.headers, _raw_body(request), address_of(request))
            webhooks.receive(provider, sent)
        return Response(ReceivedSerializer({"received": True}).data)


def _raw_body(request: Request) -> bytes:
    """The bytes as they came, because the signature is over them; never more than the limit is read."""
    body: bytes = request.stream.read(MAX_WEBHOOK_BYTES + 1) if request.stream else b""
    if len(body) > MAX_WEBHOOK_BYTES:
        raise WebhookTooLarge
    return body


def _user(request: Request) -> User:
    return cast("User", request.user)
