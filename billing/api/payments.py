"""`GET /currency/payments` and `GET /currency/payments/{id}`."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView, RetrieveAPIView

from accounts.requests import current_user
from billing import selectors
from billing.api.serializers import (
    PaymentSerializer,
)
from billing.models import Payment


@extend_schema_view(get=extend_schema(operation_id="currency_payments", tags=["currency"]))
class PaymentsView(ListAPIView[Payment]):
    """The user's payments, newest first."""

    api_token_scopes = {"GET": "read"}
    serializer_class = PaymentSerializer
    queryset = Payment.objects.none()

    def get_queryset(self) -> QuerySet[Payment]:
        return selectors.payments_of(current_user(self.request))


@extend_schema_view(get=extend_schema(operation_id="currency_payment", tags=["currency"]))
class PaymentView(RetrieveAPIView[Payment]):
    """One of the user's payments."""

    api_token_scopes = {"GET": "read"}
    serializer_class = PaymentSerializer
    queryset = Payment.objects.none()
    lookup_url_kwarg = "payment_id"

    def get_queryset(self) -> QuerySet[Payment]:
        return selectors.payments_of(current_user(self.request))
