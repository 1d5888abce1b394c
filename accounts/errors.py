"""Refusals of accounts, with their HTTP status and `code`."""

from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException


class Unauthorized(APIException):
    status_code = status.HTTP_401_UNAUTHORIZED
    auth_header = 'Bearer realm="api"'  # RFC 9110 §15.5.2: a 401 names a way to authenticate


class StateUnavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "state_unavailable"
    default_detail = _("The service cannot answer right now. Try again in a moment.")
    wait = 1  # seconds; Retry-After


class InvalidCredentials(Unauthorized):
    default_code = "invalid_credentials"
    default_detail = _("The e-mail or the password is wrong.")


class InvalidRefreshToken(Unauthorized):
    default_code = "token_not_valid"
    default_detail = _("The refresh token is invalid or expired. Log in again.")
