"""`GET /currency/balance`."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.requests import current_user
from billing import ledger
from billing.api.serializers import (
    BalanceSerializer,
)
from billing.models import CURRENCY


class BalanceView(APIView):
    api_token_scopes = {"GET": "read"}

    @extend_schema(operation_id="currency_balance", tags=["currency"], responses=BalanceSerializer)
    def get(self, request: Request) -> Response:
        balance, debt = ledger.balance_and_debt(current_user(request))
        owed = {"debt": debt} if debt else {}
        return Response(BalanceSerializer({"balance": balance, "currency": CURRENCY, **owed}).data)
