"""Refusals of billing, with their HTTP status and `code`."""

from decimal import Decimal

from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException


class InsufficientBalance(APIException):
    status_code = status.HTTP_402_PAYMENT_REQUIRED
    default_code = "insufficient_balance"

    def __init__(self, required: Decimal, available: Decimal) -> None:
        super().__init__(
            _("Insufficient balance. Required: %(required)s ZNC, Available: %(available)s ZNC")
            % {"required": f"{required:.2f}", "available": f"{available:.2f}"}
        )


class IdempotencyConflict(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "idempotency_conflict"
    default_detail = _("This Idempotency-Key was used with another request. Use a new key for a new request.")


class IdempotencyInProgress(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "idempotency_in_progress"
    default_detail = _("A request with this Idempotency-Key is still running. Try again in a moment.")


class BalanceInMotion(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "balance_in_motion"
    default_detail = _("The balance keeps changing at this moment. Look at it and try again.")


class PaymentsUnavailable(APIException):
    status_code = status.HTTP_404_NOT_FOUND
    default_code = "payments_unavailable"
    default_detail = _("Payments of this kind are not available here.")


class WebhookRefused(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "webhook_refused"
    default_detail = _("This message is not signed by the payment provider.")


class WebhookTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "payload_too_large"
    default_detail = _("The message is too large: at most 64 KiB are accepted.")
