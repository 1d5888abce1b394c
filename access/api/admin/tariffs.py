"""The administration API of tariffs."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access import tariffs
from access.api.admin.serializers import NewTariffSerializer, TariffChangeSerializer
from access.api.serializers import TariffSerializer
from accounts.api.permissions import IsSuperuser
from accounts.requests import current_user


class AdminTariffsView(APIView):
    permission_classes = [IsSuperuser]

    @extend_schema(
        operation_id="admin_create_tariff",
        tags=["administration"],
        summary="Put a tariff on sale",
        request=NewTariffSerializer,
        responses={201: TariffSerializer},
    )
    def post(self, request: Request) -> Response:
        body = NewTariffSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        tariff = tariffs.create(body.validated_data, actor=current_user(request))
        return Response(TariffSerializer(tariff).data, status.HTTP_201_CREATED)


class AdminTariffView(APIView):
    permission_classes = [IsSuperuser]

    @extend_schema(
        operation_id="admin_change_tariff",
        tags=["administration"],
        summary="Change a tariff for future purchases",
        request=TariffChangeSerializer,
        responses=TariffSerializer,
    )
    def patch(self, request: Request, tariff_id: UUID) -> Response:
        body = TariffChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        tariff = tariffs.change(tariff_id, body.validated_data, actor=current_user(request))
        return Response(TariffSerializer(tariff).data)

    @extend_schema(
        operation_id="admin_delete_tariff",
        tags=["administration"],
        summary="Take a tariff off sale; tokens already sold do not change",
        responses={204: None},
    )
    def delete(self, request: Request, tariff_id: UUID) -> Response:
        tariffs.delete(tariff_id, actor=current_user(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
