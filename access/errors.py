"""Errors of access, with their HTTP status and `code`."""

from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound, Throttled, ValidationError


class NotOnSale(ValidationError):
    def __init__(self) -> None:
        super().__init__({"duration_hours": [_("There is no tariff for this duration and scope.")]})


class TokenTooLong(ValidationError):
    def __init__(self) -> None:
        super().__init__({"duration_hours": [_("An access token lasts at most 100 years.")]})


class TariffExists(ValidationError):
    def __init__(self) -> None:
        super().__init__({"duration_hours": [_("There is a tariff for this duration and scope already.")]})


class TariffNotFound(NotFound):
    default_detail = _("There is no such tariff.")


class TokenNotFound(NotFound):
    default_detail = _("There is no such access token.")


class TokenNotActive(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "token_not_active"
    default_detail = _("This access token is not active: it has expired, or it was revoked or frozen.")


class TooManyDeviceResets(Throttled):
    """Too many resets in 24 hours; `wait` is the number of seconds until the next one is allowed."""

    default_code = "rate_limited"
    default_detail = _("The device of this access token was reset too often.")
