"""`GET /currency/transactions`."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView

from accounts.requests import current_user
from billing import selectors
from billing.api.serializers import (
    HistoryQuerySerializer,
    HistorySerializer,
)
from billing.models import Entry


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
        return selectors.history(current_user(self.request), **query.validated_data)
