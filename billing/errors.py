"""Errors of billing, with their HTTP status and `code`."""

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
    page_message = _(
        "You have already sent this form with a different choice. If you want this one as well, send the form again."
    )


class IdempotencyInProgress(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "idempotency_in_progress"
    default_detail = _("A request with this Idempotency-Key is still running. Try again in a moment.")
    page_message = _(
        "Your first click is still being processed. Wait a moment, then press the button again. It counts only once."
    )


class BalanceInMotion(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "balance_in_motion"
    default_detail = _("The balance kept changing during the adjustment. Check the current balance and try again.")


class PaymentsUnavailable(APIException):
    status_code = status.HTTP_404_NOT_FOUND
    default_code = "payments_unavailable"
    default_detail = _("This payment method is not available.")


class RefundInProgress(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "refund_in_progress"
    default_detail = _("Another refund of this payment is in progress. Wait until the provider has processed it.")


class ProviderError(Exception):
    """A failed call to a payment provider. The text is for operators and the log."""


class ProviderUnavailable(ProviderError):
    """No response, or an unusable one. The same call may be repeated later."""


class ProviderRefused(ProviderError):
    """A final rejection by the provider. Repeating the call does not change it."""


class PaymentsDown(APIException):
    """A provider that is not responding. It has the `code` of `PaymentsUnavailable`: for the user it is the same."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "payments_unavailable"
    default_detail = _("The payment provider is not responding. You have not been charged. Try again in a minute.")


class PaymentRefused(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "payment_refused"
    default_detail = _(
        "The payment provider declined this payment. You have not been charged. Try a different amount."
    )


class WebhookRefused(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "webhook_refused"
    default_detail = _("This message is not signed by the payment provider.")


class WebhookMalformed(WebhookRefused):
    default_detail = _("This message is not a valid event of the payment provider.")


class WebhookMismatch(WebhookRefused):
    """A genuine message that does not match a stored payment. The text is for the log."""

    default_detail = _("This message does not match any payment.")


class WebhookNotReady(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "webhook_not_ready"
    default_detail = _("This message could not be verified with the payment provider. Send it again later.")


class WebhookTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "payload_too_large"
    default_detail = _("The message is too large. The limit is 64 KiB.")
