"""The public API of tariffs."""

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.permissions import AllowAny

from access import selectors
from access.api.serializers import TariffSerializer
from access.models import Tariff


@extend_schema_view(
    get=extend_schema(operation_id="list_tariffs", tags=["tariffs"], summary="List the tariffs on sale")
)
class TariffsView(ListAPIView[Tariff]):
    authentication_classes = []
    permission_classes = [AllowAny]
    serializer_class = TariffSerializer
    queryset = selectors.tariffs()


@extend_schema_view(get=extend_schema(operation_id="get_tariff", tags=["tariffs"], summary="Show a tariff"))
class TariffView(RetrieveAPIView[Tariff]):
    authentication_classes = []
    permission_classes = [AllowAny]
    serializer_class = TariffSerializer
    queryset = selectors.tariffs()
