"""YooKassa through its official SDK: unsigned notifications, so that its API confirms each before it is believed.

Of the SDK its client, errors and networks are used. Its models are not: they carry amounts through `float`, which
turns 90071992547409.93 into …94.
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
from billing.providers.base import Checkout, PaymentEvent, ProviderState, RefundAnswer, RefundState, WebhookRequest

logger = logging.getLogger(__name__)

API_URL = "https://api.yookassa.ru/v3"
TIMEOUTS = (3.0, 6.5)  # seconds to connect, and to wait for an answer

Object = dict[str, Any]

_STRANGER = _("This message was not sent from an address of the payment provider.")
_NETWORKS = [ipaddress.ip_network(network) for network in SecurityHelper.YOOKASSA_NETWORKS]
# What each notification claims of its object: where the API has it, and in which status.
_CLAIMS = {
    EventType.PAYMENT_SUCCEEDED: ("/payments/", "succeeded"),
    EventType.PAYMENT_CANCELED: ("/payments/", "canceled"),
    EventType.REFUND_SUCCEEDED: ("/refunds/", "succeeded"),
}
_REFUND_STATES = {"succeeded": RefundState.SUCCEEDED, "canceled": RefundState.FAILED}


class YooKassaProvider:
    name = "yookassa"

    def create(self, payment: Payment) -> Checkout:
        asked = {
            "amount": _amount(payment.provider_amount, payment.provider_currency),
            "capture": True,
            "confirmation": {"type": "redirect", "return_url": return_url(payment)},
            "description": f"{payment.amount:.2f} ZNC",
            "metadata": {"payment_id": str(payment.pk)},
        }
        created = _read(_Payment, _call(HttpVerb.POST, "/payments", asked, payment.idempotence_key))
        # Gone where a repeated call finds the payment over.
        return Checkout(created["id"], created.get("confirmation", {}).get("confirmation_url", ""))

    def fetch(self, payment: Payment) -> ProviderState:
        said = _payment(payment.provider_id)
        if said["metadata"].get("payment_id") != str(payment.pk):
            raise ProviderRefused(f"YooKassa: {payment.provider_id} belongs to another payment.")
        return ProviderState(
            status=_status(said),
            amount=said["amount"]["value"],
            currency=said["amount"]["currency"],
            refunded=said["refunded_amount"]["value"] if "refunded_amount" in said else Decimal(0),
        )

    def parse_webhook(self, request: WebhookRequest) -> PaymentEvent:
        if not _is_theirs(request.remote_address):
            logger.warning("webhook_from_stranger", extra={"provider": "yookassa", "address": request.remote_address})
            raise WebhookRefused(_STRANGER)
        said = _notification(request.body)
        kind, object_id = said["event"], said["object"]["id"]
        event_id = f"{kind}:{object_id}"  # notifications have no id of their own
        if kind not in _CLAIMS:
            return PaymentEvent(event_id, kind)
        payment = _confirmed(kind, object_id)
        return PaymentEvent(event_id, kind, _uuid(payment["metadata"].get("payment_id")), payment["id"])

    def refund(self, payment: Payment, amount: Decimal, idempotence_key: str) -> RefundAnswer:
        asked = {"payment_id": payment.provider_id, "amount": _amount(amount, payment.provider_currency)}
        refund = _read(_Refund, _call(HttpVerb.POST, "/refunds", asked, idempotence_key))
        if refund["status"] == "canceled":
            raise ProviderRefused(f"YooKassa: the refund {refund['id']} is canceled.")
        return RefundAnswer(refund["id"])

    def fetch_refund(self, refund_id: str) -> RefundState:
        refund = _read(_Refund, _call(HttpVerb.GET, f"/refunds/{refund_id}"))
        return _REFUND_STATES.get(refund["status"], RefundState.PENDING)


# --- The API


class _Client(ApiClient):  # type: ignore[misc]  # the SDK is untyped
    """The SDK's client with settings of its own: the SDK's are global, and its calls never time out."""

    def __init__(self) -> None:
        self.configuration = SimpleNamespace(verify=True)
        self.endpoint = API_URL
        self.shop_id, self.shop_password = settings.YOOKASSA_SHOP_ID, settings.YOOKASSA_SECRET_KEY
        self.auth_token = None
        self.user_agent = UserAgent()

    def get_session(self) -> requests.Session:
        """One attempt; repeating is for whoever holds the stored key."""
        session = requests.Session()
        session.trust_env = False  # no proxies and passwords from the environment
        for scheme in ("https://", "http://"):
            session.mount(scheme, _Impatient())
        return session


class _Impatient(HTTPAdapter):
    def send(self, *args: Any, **options: Any) -> requests.Response:
        return super().send(*args, **options | {"timeout": TIMEOUTS})


def _call(method: str, path: str, body: Object | None = None, key: str = "") -> Any:
    """The API's answer, as JSON with amounts as text."""
    try:
        return _Client().request(method, path, None, {"Idempotence-Key": key} if key else None, body)
    except (UnauthorizedError, ForbiddenError) as error:
        logger.error("provider_refuses_our_key", extra={"provider": "yookassa", "status": error.HTTP_CODE})  # noqa: TRY400
        raise ProviderUnavailable("YooKassa refuses our key.") from None
    except (BadRequestError, NotFoundError, GoneError) as error:
        raise ProviderRefused(f"YooKassa: {error.content.get('description')}") from error
    # The last three are the SDK stumbling over an answer that did not come, or is no JSON object.
    except (ApiError, requests.RequestException, AttributeError, TypeError, ValueError) as error:
        extra = {"provider": "yookassa", "error": type(error).__name__}
        logger.warning("provider_unavailable", extra=extra)
        raise ProviderUnavailable("YooKassa does not answer.") from error


def _payment(provider_id: str) -> Object:
    """A payment as the API has it now. Refused is one of another shop or of the other mode (test or live)."""
    said = _read(_Payment, _call(HttpVerb.GET, f"/payments/{provider_id}"))
    live = not settings.YOOKASSA_SECRET_KEY.startswith("test_")
    if said["recipient"]["account_id"] != settings.YOOKASSA_SHOP_ID or said["test"] == live:
        logger.error("payment_foreign", extra={"provider": "yookassa", "provider_id": provider_id})
        raise ProviderRefused(f"YooKassa: {provider_id} is of another shop or mode.")
    return said


def _status(payment: Object) -> PaymentStatus:
    if payment["status"] == "succeeded":
        return PaymentStatus.SUCCEEDED
    if payment["status"] != "canceled":
        return PaymentStatus.PENDING
    why = payment.get("cancellation_details", {})
    if why.get("reason") == "expired_on_confirmation":
        return PaymentStatus.EXPIRED
    return PaymentStatus.CANCELLED if why.get("party") == "merchant" else PaymentStatus.FAILED


# --- What the API and its notifications say


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
    id = serializers.RegexField(r"\A[0-9A-Za-z-]{1,64}\Z")  # goes into a path


class _Notification(serializers.Serializer[Any]):
    event = serializers.CharField(max_length=100)
    object = _About()


def _read(shape: type[serializers.Serializer[Any]], answer: Any) -> Object:
    read = shape(data=answer)
    if not read.is_valid():
        logger.error("provider_unreadable", extra={"provider": "yookassa", "errors": str(read.errors)})
        raise ProviderUnavailable("YooKassa's answer cannot be read.")
    said: Object = read.validated_data
    return said


def _notification(body: bytes) -> Object:
    try:
        said = _Notification(data=json.loads(body))
    except (ValueError, RecursionError) as error:
        raise WebhookMalformed from error
    if not said.is_valid():
        raise WebhookMalformed
    read: Object = said.validated_data
    return read


def _confirmed(kind: str, object_id: str) -> Object:
    """The payment that a notification is about, once the API says of its object what the notification claims."""
    place, claimed = _CLAIMS[kind]
    try:
        if place == "/refunds/":
            claim = _read(_Refund, _call(HttpVerb.GET, place + object_id))
            payment = _payment(claim["payment_id"])
        else:
            claim = payment = _payment(object_id)
    except ProviderUnavailable as error:
        raise WebhookNotReady from error
    except ProviderRefused as error:
        raise WebhookMismatch from error
    if claim["status"] != claimed:
        raise WebhookNotReady  # YooKassa sends it again for a day
    return payment


def _is_theirs(address: str) -> bool:
    """Whether YooKassa sends from this address; an IPv4 address may come in the form of IPv6."""
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
