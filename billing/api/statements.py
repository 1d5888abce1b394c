"""`GET /currency/statement`."""

from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.requests import current_user
from billing.api.serializers import StatementQuerySerializer, StatementSerializer
from billing.statement_csv import csv_response
from billing.statements import statement

# About 3 MB. A JSON response is built in memory, a CSV file is not.
MAX_ITEMS = 10_000


class StatementView(APIView):
    api_token_scopes = {"GET": "read"}

    @extend_schema(
        operation_id="currency_statement",
        tags=["currency"],
        parameters=[StatementQuerySerializer],
        responses={(200, "application/json"): StatementSerializer, (200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Return the movements of a period of at most 366 days, with the balance before and after it.

        As JSON at most 10 000 movements.
        """
        query = StatementQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        wanted = query.validated_data
        with statement(current_user(request), wanted["start"], wanted["end"]) as found:
            if wanted["format"] == "csv":
                return csv_response(found)
            if found.movements > MAX_ITEMS:
                message = _(
                    "The period has %(found)d movements, but JSON returns at most %(most)d. "
                    "Choose a shorter period or CSV."
                )
                raise ValidationError({"format": [message % {"found": found.movements, "most": MAX_ITEMS}]})
            return Response(StatementSerializer(found).data)
