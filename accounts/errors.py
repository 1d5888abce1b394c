"""Errors of accounts, with their HTTP status and `code`."""

from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound


class Unauthorized(APIException):
    status_code = status.HTTP_401_UNAUTHORIZED
    auth_header = 'Bearer realm="api"'  # RFC 9110 §15.5.2: a 401 response names an authentication scheme


class InvalidCredentials(Unauthorized):
    default_code = "invalid_credentials"
    default_detail = _("The e-mail or the password is wrong.")


class InvalidRefreshToken(Unauthorized):
    default_code = "token_not_valid"
    default_detail = _("The refresh token is invalid or expired. Log in again.")


class OtpRequired(Unauthorized):
    default_code = "otp_required"
    default_detail = _("Send a code from your authenticator app or a recovery code as `otp`.")


class InvalidOtp(Unauthorized):
    default_code = "invalid_otp"
    default_detail = _("The code is wrong or has already been used. Enter another one.")


class EmailUnverified(APIException):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "email_unverified"
    default_detail = _("Confirm your e-mail address first. We have sent you a link.")


class SecondFactorMissing(APIException):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "mfa_required"
    default_detail = _("Operators need a second factor. Set it up on the site first.")


class ScopeMissing(APIException):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "scope_missing"
    default_detail = _("This API token does not have permission for this call.")


class InvalidApiToken(Unauthorized):
    default_code = "token_not_valid"
    default_detail = _("The API token is unknown, expired or revoked.")


class UserNotFound(NotFound):
    default_detail = _("There is no such user.")


class ApiTokenNotFound(APIException):
    status_code = status.HTTP_404_NOT_FOUND
    default_code = "not_found"
    default_detail = _("There is no such API token.")


class ApiTokenAlreadyCreated(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "api_token_made"
    default_detail = _(
        "This API token has already been created and is shown only once. "
        "If you have lost it, delete it and create another."
    )
