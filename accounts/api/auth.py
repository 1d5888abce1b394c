"""`/auth/*`: sign-up, login, refresh and logout."""

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import services
from accounts.api.serializers import (
    CredentialsSerializer,
    DetailSerializer,
    ErrorSerializer,
    RefreshSerializer,
    RegistrationSerializer,
    TokenPairSerializer,
    UserAccountSerializer,
)
from accounts.requests import address_of, bearer_token, current_user, user_agent_of


class AnonymousView(APIView):
    """A call without authentication, so that a wrong or expired JWT in the request does no harm."""

    authentication_classes = []
    permission_classes = [AllowAny]


class RegisterView(AnonymousView):
    @extend_schema(
        operation_id="register",
        tags=["auth"],
        summary="Sign up",
        request=RegistrationSerializer,
        responses={201: UserAccountSerializer},
    )
    def post(self, request: Request) -> Response:
        form = RegistrationSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = services.register(**form.validated_data, address=address_of(request))
        return Response(UserAccountSerializer(user).data, status=status.HTTP_201_CREATED)


class LoginView(AnonymousView):
    @extend_schema(
        operation_id="login",
        tags=["auth"],
        summary="Log in",
        request=CredentialsSerializer,
        responses={
            200: TokenPairSerializer,
            401: OpenApiResponse(
                ErrorSerializer, description="Wrong e-mail or password, `otp_required`, or `invalid_otp`"
            ),
            403: OpenApiResponse(
                ErrorSerializer, description="The e-mail address is not confirmed: `email_unverified`"
            ),
        },
    )
    def post(self, request: Request) -> Response:
        form = CredentialsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        pair = services.login(**form.validated_data, address=address_of(request), user_agent=user_agent_of(request))
        return Response(TokenPairSerializer(pair).data)


class RefreshView(AnonymousView):
    @extend_schema(
        operation_id="refresh",
        tags=["auth"],
        summary="Exchange a refresh token for a new pair",
        description="Send the refresh token in the body or in `Authorization: Bearer`. It can be used once.",
        request=RefreshSerializer,
        responses={
            200: TokenPairSerializer,
            401: OpenApiResponse(ErrorSerializer, description="No valid refresh token"),
            403: OpenApiResponse(
                ErrorSerializer, description="The e-mail address is not confirmed: `email_unverified`"
            ),
        },
    )
    def post(self, request: Request) -> Response:
        began = timezone.now()
        form = RefreshSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        pair = services.refresh(form.validated_data.get("refresh_token") or bearer_token(request), began=began)
        return Response(TokenPairSerializer(pair).data)


class LogoutView(APIView):
    @extend_schema(
        operation_id="logout",
        tags=["auth"],
        summary="Revoke every refresh token of the user",
        request=None,
        responses={200: DetailSerializer},
    )
    def post(self, request: Request) -> Response:
        services.log_out(current_user(request))
        return Response({"detail": _("You are logged out.")})
