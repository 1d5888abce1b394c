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
from zenzefi.common.api.query import validated_query


@extend_schema_view(
    get=extend_schema(operation_id="currency_transactions", tags=["currency"], parameters=[HistoryQuerySerializer])
)
class TransactionsView(ListAPIView[Entry]):
    """The user's transactions, newest first."""

    api_token_scopes = {"GET": "read"}
    serializer_class = HistorySerializer
    queryset = Entry.objects.none()

    def get_queryset(self) -> QuerySet[Entry]:
        query = validated_query(HistoryQuerySerializer, self.request)
        return selectors.history(current_user(self.request), **query)
