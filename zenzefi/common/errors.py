"""Errors that any part of the control plane may raise."""

from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError
from rest_framework import status
from rest_framework.exceptions import APIException

# Raised while the database, Redis or the broker of the background jobs cannot be reached.
OUTAGES = (OperationalError, InterfaceError, RedisError, BrokerError)


class StateUnavailable(APIException):
    """A service that holds state cannot be reached; also the response to an error of `OUTAGES`."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "state_unavailable"
    default_detail = _("The service is unavailable right now. Try again in a moment.")
    wait = 1  # seconds; sent as Retry-After
