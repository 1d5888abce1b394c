"""`/auth/*` and `/users/me`."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts import jwt, services
from accounts.api import serializers
from accounts.api.requests import address_of, bearer_token, user_agent_of, user_of


def _valid(form: Serializer[Any]) -> dict[str, Any]:
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


class Anonymous(APIView):
    """A call that a wrong or an old JWT must not stand in the way of."""

    authentication_classes = []
    permission_classes = [AllowAny]


class RegisterView(Anonymous):
    @extend_schema(
        operation_id="register",
        tags=["auth"],
        summary="Sign up",
        request=serializers.Registration,
        responses={201: serializers.UserAccount},
    )
    def post(self, request: Request) -> Response:
        form = _valid(serializers.Registration(data=request.data))
        user = services.register(**form, address=address_of(request))
        return Response(serializers.UserAccount(user).data, status=status.HTTP_201_CREATED)


class LoginView(Anonymous):
    @extend_schema(
        operation_id="login",
        tags=["auth"],
        summary="Log in",
        request=serializers.Credentials,
        responses={
            200: serializers.TokenPair,
            401: OpenApiResponse(
                serializers.Error, description="Wrong e-mail or password, `otp_required`, or `invalid_otp`"
            ),
            403: OpenApiResponse(serializers.Error, description="The e-mail is not confirmed: `email_unverified`"),
        },
    )
    def post(self, request: Request) -> Response:
        form = _valid(serializers.Credentials(data=request.data))
        pair = services.login(**form, address=address_of(request), user_agent=user_agent_of(request))
        return Response(serializers.TokenPair(pair).data)


class RefreshView(Anonymous):
    @extend_schema(
        operation_id="refresh",
        tags=["auth"],
        summary="Exchange a refresh token for a new pair",
        description="The refresh token, usable once, stands in the body or in `Authorization: Bearer`.",
        request=serializers.Refresh,
        responses={
            200: serializers.TokenPair,
            401: OpenApiResponse(serializers.Error, description="No valid refresh token"),
            403: OpenApiResponse(serializers.Error, description="The e-mail is not confirmed: `email_unverified`"),
        },
    )
    def post(self, request: Request) -> Response:
        began = timezone.now()
        form = _valid(serializers.Refresh(data=request.data))
        pair = services.refresh(form.get("refresh_token") or bearer_token(request), began=began)
        return Response(serializers.TokenPair(pair).data)


class LogoutView(APIView):
    @extend_schema(
        operation_id="logout",
        tags=["auth"],
        summary="End every login of the user",
        request=None,
        responses={200: serializers.Detail},
    )
    def post(self, request: Request) -> Response:
        jwt.revoke_families(user_of(request))
        return Response({"detail": _("You are logged out.")})


class MeView(APIView):
    api_token_scopes = {"GET": "read"}

    @extend_schema(
        operation_id="get_me",
        tags=["users"],
        summary="The user's own account",
        responses={200: serializers.Profile},
    )
    def get(self, request: Request) -> Response:
        return Response(serializers.Profile(user_of(request)).data)

    @extend_schema(
        operation_id="change_me",
        tags=["users"],
        summary="Change the name or the password",
        description="Other fields are ignored. A new password ends every login and is told by e-mail.",
        request=serializers.ProfileChange,
        responses={200: serializers.Profile},
    )
    def patch(self, request: Request) -> Response:
        form = _valid(serializers.ProfileChange(data=request.data))
        user = services.update_profile(user_of(request), **form)
        return Response(serializers.Profile(user).data)
