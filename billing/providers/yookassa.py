"""YooKassa through its official SDK. Its notifications are not signed, so each is confirmed through its API.

Only the client, the errors and the networks of the SDK are used. Its models convert amounts to `float`, which turns
90071992547409.93 into 90071992547409.94.
"""

import ipaddress
import json
import logging
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import requests
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from requests.adapters import HTTPAdapter
from rest_framework import serializers
from yookassa.client import ApiClient
from yookassa.domain.common import HttpVerb, SecurityHelper, UserAgent
from yookassa.domain.exceptions import (
    ApiError,
    BadRequestError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    UnauthorizedError,
)
from yookassa.domain.notification import WebhookNotificationEventType as EventType

from billing.errors import (
    ProviderRefused,
    ProviderUnavailable,
    WebhookMalformed,
    WebhookMismatch,
    WebhookNotReady,
    WebhookRefused,
)
from billing.models import Payment, PaymentStatus
from billing.providers import return_url
from billing.providers.base import AcceptedRefund, Checkout, PaymentEvent, ProviderState, RefundState, WebhookRequest

logger = logging.getLogger(__name__)

API_URL = "https://api.yookassa.ru/v3"
TIMEOUTS = (3.0, 6.5)  # seconds to connect, and to wait for a response

Object = dict[str, Any]

_UNKNOWN_SENDER = _("This message was not sent from an address of the payment provider.")
_NETWORKS = [ipaddress.ip_network(network) for network in SecurityHelper.YOOKASSA_NETWORKS]
# For each notification, the API path of its object and the status that the object must have.
_EXPECTED = {
    EventType.PAYMENT_SUCCEEDED: ("/payments/", "succeeded"),
    EventType.PAYMENT_CANCELED: ("/payments/", "canceled"),
    EventType.REFUND_SUCCEEDED: ("/refunds/", "succeeded"),
}
_REFUND_STATES = {"succeeded": RefundState.SUCCEEDED, "canceled": RefundState.FAILED}


class YooKassaProvider:
    name = "yookassa"

    def create(self, payment: Payment) -> Checkout:
        request = {
            "amount": _amount(payment.provider_amount, payment.provider_currency),
            "capture": True,
            "confirmation": {"type": "redirect", "return_url": return_url(payment)},
            "description": f"{payment.amount:.2f} ZNC",
            "metadata": {"payment_id": str(payment.pk)},
        }
        created = _read(_Payment, _call(HttpVerb.POST, "/payments", request, payment.idempotence_key))
        # A repeated call for a payment that has ended returns no confirmation.
        return Checkout(created["id"], created.get("confirmation", {}).get("confirmation_url", ""))

    def fetch(self, payment: Payment) -> ProviderState:
        found = _payment(payment.provider_id)
        if found["metadata"].get("payment_id") != str(payment.pk):
            raise ProviderRefused(f"YooKassa: {payment.provider_id} belongs to another payment.")
        return ProviderState(
            status=_status(found),
            amount=found["amount"]["value"],
            currency=found["amount"]["currency"],
            refunded=found["refunded_amount"]["value"] if "refunded_amount" in found else Decimal(0),
        )

    def parse_webhook(self, request: WebhookRequest) -> PaymentEvent:
        if not _is_yookassa_address(request.remote_address):
            logger.warning("webhook_from_stranger", extra={"provider": "yookassa", "address": request.remote_address})
            raise WebhookRefused(_UNKNOWN_SENDER)
        notification = _notification(request.body)
        kind, object_id = notification["event"], notification["object"]["id"]
        event_id = f"{kind}:{object_id}"  # notifications have no id of their own
        if kind not in _EXPECTED:
            return PaymentEvent(event_id, kind)
        payment = _confirmed(kind, object_id)
        return PaymentEvent(event_id, kind, _uuid(payment["metadata"].get("payment_id")), payment["id"])

    def refund(self, payment: Payment, amount: Decimal, idempotence_key: str) -> AcceptedRefund:
        request = {"payment_id": payment.provider_id, "amount": _amount(amount, payment.provider_currency)}
        refund = _read(_Refund, _call(HttpVerb.POST, "/refunds", request, idempotence_key))
        if refund["status"] == "canceled":
            raise ProviderRefused(f"YooKassa: the refund {refund['id']} is canceled.")
        return AcceptedRefund(refund["id"])

    def fetch_refund(self, refund_id: str) -> RefundState:
        refund = _read(_Refund, _call(HttpVerb.GET, f"/refunds/{refund_id}"))
        return _REFUND_STATES.get(refund["status"], RefundState.PENDING)


# --- The API


class _Client(ApiClient):  # type: ignore[misc]  # the SDK is untyped
    """The SDK's client with separate settings and a time-out. The SDK has global settings and no time-out."""

    def __init__(self) -> None:
        self.configuration = SimpleNamespace(verify=True)
        self.endpoint = API_URL
        self.shop_id, self.shop_password = settings.YOOKASSA_SHOP_ID, settings.YOOKASSA_SECRET_KEY
        self.auth_token = None
        self.user_agent = UserAgent()

    def get_session(self) -> requests.Session:
        """Return a session that makes a single attempt. The caller repeats the call with the stored key."""
        session = requests.Session()
        session.trust_env = False  # ignore proxies and passwords from the environment
        for scheme in ("https://", "http://"):
            session.mount(scheme, _TimeoutAdapter())
        return session


class _TimeoutAdapter(HTTPAdapter):
    def send(self, *args: Any, **options: Any) -> requests.Response:
        return super().send(*args, **options | {"timeout": TIMEOUTS})


def _call(method: str, path: str, body: Object | None = None, key: str = "") -> Any:
    """Call the API and return its JSON response, in which amounts are text.

    Raises `ProviderUnavailable`, `ProviderRefused`.
    """
    try:
        return _Client().request(method, path, None, {"Idempotence-Key": key} if key else None, body)
    except (UnauthorizedError, ForbiddenError) as error:
        logger.error("provider_refuses_our_key", extra={"provider": "yookassa", "status": error.HTTP_CODE})  # noqa: TRY400
        raise ProviderUnavailable("YooKassa rejected the API key.") from None
    except (BadRequestError, NotFoundError, GoneError) as error:
        raise ProviderRefused(f"YooKassa: {error.content.get('description')}") from error
    # The SDK raises the last three if there is no response, or if it is not a JSON object.
    except (ApiError, requests.RequestException, AttributeError, TypeError, ValueError) as error:
        extra = {"provider": "yookassa", "error": type(error).__name__}
        logger.warning("provider_unavailable", extra=extra)
        raise ProviderUnavailable("YooKassa is not responding.") from error


def _payment(provider_id: str) -> Object:
    """Fetch a payment from the API. Raises `ProviderRefused` if it is of another shop or mode (test or live)."""
    found = _read(_Payment, _call(HttpVerb.GET, f"/payments/{provider_id}"))
    live = not settings.YOOKASSA_SECRET_KEY.startswith("test_")
    if found["recipient"]["account_id"] != settings.YOOKASSA_SHOP_ID or found["test"] == live:
        logger.error("payment_foreign", extra={"provider": "yookassa", "provider_id": provider_id})
        raise ProviderRefused(f"YooKassa: {provider_id} belongs to another shop or mode.")
    return found


def _status(payment: Object) -> PaymentStatus:
    if payment["status"] == "succeeded":
        return PaymentStatus.SUCCEEDED
    if payment["status"] != "canceled":
        return PaymentStatus.PENDING
    details = payment.get("cancellation_details", {})
    if details.get("reason") == "expired_on_confirmation":
        return PaymentStatus.EXPIRED
    return PaymentStatus.CANCELLED if details.get("party") == "merchant" else PaymentStatus.FAILED


# --- The shapes of API objects and notifications


class _Amount(serializers.Serializer[Any]):
    value = serializers.DecimalField(max_digits=18, decimal_places=2)
    currency = serializers.CharField()


class _Recipient(serializers.Serializer[Any]):
    account_id = serializers.CharField()


class _Payment(serializers.Serializer[Any]):
    id = serializers.CharField()
    status = serializers.CharField()
    test = serializers.BooleanField()
    recipient = _Recipient()
    amount = _Amount()
    refunded_amount = _Amount(required=False)
    metadata = serializers.DictField(default=dict)
    confirmation = serializers.DictField(required=False)
    cancellation_details = serializers.DictField(required=False)


class _Refund(serializers.Serializer[Any]):
    id = serializers.CharField()
    payment_id = serializers.CharField()
    status = serializers.CharField()


class _About(serializers.Serializer[Any]):
    id = serializers.RegexField(r"\A[0-9A-Za-z-]{1,64}\Z")  # becomes part of a URL path


class _Notification(serializers.Serializer[Any]):
    event = serializers.CharField(max_length=100)
    object = _About()


def _read(shape: type[serializers.Serializer[Any]], response: Any) -> Object:
    read = shape(data=response)
    if not read.is_valid():
        logger.error("provider_unreadable", extra={"provider": "yookassa", "errors": str(read.errors)})
        raise ProviderUnavailable("The response of YooKassa has an unknown form.")
    data: Object = read.validated_data
    return data


def _notification(body: bytes) -> Object:
    try:
        notification = _Notification(data=json.loads(body))
    except (ValueError, RecursionError) as error:
        raise WebhookMalformed from error
    if not notification.is_valid():
        raise WebhookMalformed
    data: Object = notification.validated_data
    return data


def _confirmed(kind: str, object_id: str) -> Object:
    """Return the payment of a notification, if the API confirms the status that the notification claims.

    Raises `WebhookNotReady` if the API does not confirm it yet, `WebhookMismatch` if it refuses.
    """
    place, expected = _EXPECTED[kind]
    try:
        if place == "/refunds/":
            found = _read(_Refund, _call(HttpVerb.GET, place + object_id))
            payment = _payment(found["payment_id"])
        else:
            found = payment = _payment(object_id)
    except ProviderUnavailable as error:
        raise WebhookNotReady from error
    except ProviderRefused as error:
        raise WebhookMismatch from error
    if found["status"] != expected:
        raise WebhookNotReady  # YooKassa sends it again for a day
    return payment


def _is_yookassa_address(address: str) -> bool:
    """Return whether an address belongs to YooKassa. An IPv4 address may be in IPv6 form."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(ip in network for network in _NETWORKS)


def _amount(value: Decimal, currency: str) -> dict[str, str]:
    return {"value": f"{value:.2f}", "currency": currency}


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
