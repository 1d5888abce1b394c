"""The administration API of users: list, block, unblock, adjust the balance."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import IsSuperuser
from accounts.models import User
from billing import customers
from billing.api.admin.serializers import AdminUserSerializer, UserChangeSerializer, UserFilterSerializer
from billing.api.idempotency import IDEMPOTENCY_KEY, call_of
from zenzefi.common.api.query import validated_query


class AdminUsersView(ListAPIView[User]):
    permission_classes = [IsSuperuser]
    serializer_class = AdminUserSerializer

    def get_queryset(self) -> QuerySet[User]:
        return customers.find_customers(**validated_query(UserFilterSerializer, self.request))

    @extend_schema(
        operation_id="admin_list_users",
        tags=["administration"],
        summary="Users, newest first",
        parameters=[UserFilterSerializer],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)


class AdminUserView(APIView):
    permission_classes = [IsSuperuser]

    @extend_schema(
        operation_id="admin_change_user",
        tags=["administration"],
        summary="Block or unblock a user, adjust the balance",
        request=UserChangeSerializer,
        responses=AdminUserSerializer,
        parameters=[IDEMPOTENCY_KEY],
    )
    def patch(self, request: Request, user_id: UUID) -> Response:
        body = UserChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        call = call_of(request, "admin/users", user_id)
        user = customers.change_customer(call, user_id, **body.validated_data)
        return Response(AdminUserSerializer(user).data)
