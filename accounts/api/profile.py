"""`/users/me`: the user's own account."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import services
from accounts.api.serializers import ProfileChangeSerializer, ProfileSerializer
from accounts.requests import current_user


class ProfileView(APIView):
    api_token_scopes = {"GET": "read"}

    @extend_schema(
        operation_id="get_me",
        tags=["users"],
        summary="The user's own account",
        responses={200: ProfileSerializer},
    )
    def get(self, request: Request) -> Response:
        return Response(ProfileSerializer(current_user(request)).data)

    @extend_schema(
        operation_id="change_me",
        tags=["users"],
        summary="Change the name or the password",
        description="Other fields are ignored. A new password revokes every login and is announced by e-mail.",
        request=ProfileChangeSerializer,
        responses={200: ProfileSerializer},
    )
    def patch(self, request: Request) -> Response:
        form = ProfileChangeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = services.update_profile(current_user(request), **form.validated_data)
        return Response(ProfileSerializer(user).data)
