"""`POST /currency/purchase` and `POST /currency/mock-purchase`."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import ErrorSerializer
from billing import topups
from billing.api.idempotency import IDEMPOTENCY_KEY, call_of
from billing.api.serializers import (
    DepositSerializer,
    MockTopUpSerializer,
    PaymentSerializer,
    TopUpSerializer,
)

_UNAVAILABLE = OpenApiResponse(ErrorSerializer, description="This payment method is not available")


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
        """Create a payment. The user pays at `payment_url`, and the provider's webhook credits the wallet."""
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
        """Credit the wallet without a payment. Available only if the mock provider is configured."""
        body = MockTopUpSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        moved = topups.mock_purchase(call_of(request, "currency.mock-purchase"), **body.validated_data)
        return Response(DepositSerializer(moved).data)
