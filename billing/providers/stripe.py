"""Stripe: Checkout Sessions through the official SDK, signed webhooks, delayed payments, refunds and disputes.

An event only names the payment to check. The shape of its objects depends on the API version with which the endpoint
was created, so only ids are read from them. Everything else is fetched from the API, in the version of the SDK.
"""

import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import requests
import stripe
from django.conf import settings
from stripe.checkout import Session

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

API_URL = "https://api.stripe.com"
# Seconds to connect, and to wait for a response. No method makes more than three calls.
TIMEOUTS = (2.0, 4.5)
TOLERANCE_SECONDS = 300

# Currencies whose amounts are whole units. Amounts of all others are hundredths, even of ISK and UGX, which have none
# (https://docs.stripe.com/currencies).
_ZERO_DECIMAL = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
_ABOUT_A_SESSION = "checkout.session."
_ABOUT_A_CHARGE = ("charge.refunded", "charge.refund.", "charge.dispute.", "refund.")
_REFUND_STATES = {
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}
# Dispute statuses in which the bank has taken the money. A `warning_…` is an inquiry that moves no money.
_MONEY_IS_GONE = {"needs_response", "under_review", "lost"}

# Telemetry would write a file into the home directory and send details of this machine to Stripe.
stripe.enable_telemetry = False


class StripeProvider:
    name = "stripe"

    def create(self, payment: Payment) -> Checkout:
        with _api() as client:
            session = client.v1.checkout.sessions.create(
                {
                    "mode": "payment",
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": payment.provider_currency.lower(),
                                "unit_amount": _minor_units(payment.provider_amount, payment.provider_currency),
                                "product_data": {"name": f"{payment.amount:.2f} ZNC"},
                            },
                        }
                    ],
                    "client_reference_id": str(payment.pk),
                    "payment_intent_data": {"metadata": {"payment_id": str(payment.pk)}},
                    "success_url": return_url(payment),
                    "cancel_url": return_url(payment),
                },
                {"idempotency_key": payment.idempotence_key},
            )
        return Checkout(session.id, session.url or "", datetime.fromtimestamp(session.expires_at, UTC))

    def fetch(self, payment: Payment) -> ProviderState:
        with _api() as client:
            session = _session(client, payment, expand=["payment_intent.latest_charge"])
            charge = _charge(session)
            amount = charge.amount_captured if charge else session.amount_total or 0
            currency = (charge or session).currency or ""
            return ProviderState(
                status=_status(session),
                processing=_is_processing(session),
                amount=_main_units(amount, currency),
                currency=currency.upper(),
                refunded=_refunded(client, charge) if charge else Decimal(0),
                disputed=bool(charge and charge.disputed and _is_disputed(client, charge)),
            )

    def parse_webhook(self, request: WebhookRequest) -> PaymentEvent:
        event_id, kind, about = _read(_verified(request))
        payment_id, provider_id = None, ""
        if kind.startswith(_ABOUT_A_SESSION):
            payment_id, provider_id = _uuid(about.get("client_reference_id")), str(about.get("id", ""))
        elif kind.startswith(_ABOUT_A_CHARGE) and about.get("payment_intent"):
            payment_id, provider_id = _session_of(str(about["payment_intent"]))
        return PaymentEvent(event_id, kind, payment_id, provider_id)

    def refund(self, payment: Payment, amount: Decimal, idempotence_key: str) -> AcceptedRefund:
        with _api() as client:
            refund = client.v1.refunds.create(
                {
                    "payment_intent": str(_session(client, payment).payment_intent),
                    "amount": _minor_units(amount, payment.provider_currency),
                },
                {"idempotency_key": idempotence_key},
            )
        if refund.status in {"failed", "canceled"}:
            raise ProviderRefused(f"Stripe: the refund {refund.id} is {refund.status}.")
        return AcceptedRefund(refund.id)

    def fetch_refund(self, refund_id: str) -> RefundState:
        with _api() as client:
            status = client.v1.refunds.retrieve(refund_id).status
        return _REFUND_STATES.get(status or "", RefundState.PENDING)


# --- The API


@contextmanager
def _api() -> Iterator[stripe.StripeClient]:
    """Provide a client with separate settings, and translate its errors to `ProviderError`."""
    with requests.Session() as session:
        session.trust_env = False  # ignore proxies and passwords from the environment
        client = stripe.StripeClient(
            settings.STRIPE_SECRET_KEY,
            base_addresses={"api": API_URL},
            http_client=stripe.RequestsClient(timeout=TIMEOUTS, session=session),
            max_network_retries=0,
        )
        try:
            yield client
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            logger.error("provider_refuses_our_key", extra={"provider": "stripe", "status": error.http_status})  # noqa: TRY400  (the text quotes the key)
            raise ProviderUnavailable("Stripe rejected the API key.") from None
        except (stripe.InvalidRequestError, stripe.IdempotencyError, stripe.CardError) as error:
            raise ProviderRefused(f"Stripe: {error.user_message}") from error
        except stripe.StripeError as error:
            logger.warning("provider_unavailable", extra={"provider": "stripe", "error": type(error).__name__})
            raise ProviderUnavailable("Stripe is not responding.") from error


def _session(client: stripe.StripeClient, payment: Payment, expand: list[str] | None = None) -> Session:
    session = client.v1.checkout.sessions.retrieve(payment.provider_id, {"expand": expand or []})
    if session.client_reference_id != str(payment.pk):
        raise ProviderRefused(f"Stripe: {payment.provider_id} belongs to another payment.")
    return session


def _charge(session: Session) -> stripe.Charge | None:
    """Return the charge that paid the session, or None. An unpaid session may have a declined charge."""
    intent = session.payment_intent
    if session.payment_status != "paid" or not isinstance(intent, stripe.PaymentIntent):
        return None
    return intent.latest_charge if isinstance(intent.latest_charge, stripe.Charge) else None


def _status(session: Session) -> PaymentStatus:
    if session.payment_status == "paid":
        return PaymentStatus.SUCCEEDED
    if session.status == "expired":
        return PaymentStatus.EXPIRED
    if session.status == "complete" and not _is_processing(session):
        return PaymentStatus.FAILED  # the delayed payment failed, and a complete session accepts no other
    return PaymentStatus.PENDING


def _is_processing(session: Session) -> bool:
    """Return whether the user has paid with a delayed method and the money has not arrived yet."""
    intent = session.payment_intent
    return (
        session.status == "complete"
        and session.payment_status == "unpaid"
        and isinstance(intent, stripe.PaymentIntent)
        and intent.status not in {"requires_payment_method", "canceled"}
    )


def _refunded(client: stripe.StripeClient, charge: stripe.Charge) -> Decimal:
    """Return the sum of the refunds that succeeded. The sum in the charge also counts refunds in progress."""
    if not charge.amount_refunded:
        return Decimal(0)
    refunds = client.v1.refunds.list({"charge": charge.id, "limit": 100}).auto_paging_iter()
    return _main_units(sum(refund.amount for refund in refunds if refund.status == "succeeded"), charge.currency)


def _is_disputed(client: stripe.StripeClient, charge: stripe.Charge) -> bool:
    disputes = client.v1.disputes.list({"charge": charge.id, "limit": 100}).auto_paging_iter()
    return any(dispute.status in _MONEY_IS_GONE for dispute in disputes)


def _session_of(intent_id: str) -> tuple[UUID | None, str]:
    """Return our payment id and the session id of a payment intent, or (None, "") if it has no session."""
    try:
        with _api() as client:
            sessions = client.v1.checkout.sessions.list({"payment_intent": intent_id, "limit": 1}).data
    except ProviderUnavailable as error:
        raise WebhookNotReady from error
    except ProviderRefused as error:
        raise WebhookMismatch from error
    return (_uuid(sessions[0].client_reference_id), sessions[0].id) if sessions else (None, "")


# --- Amounts


def _minor_units(amount: Decimal, currency: str) -> int:
    minor = amount * _per_unit(currency)
    if minor != int(minor):
        raise ProviderRefused(f"Stripe: {amount} {currency} has more decimals than the currency.")
    return int(minor)


def _main_units(minor: int, currency: str) -> Decimal:
    return Decimal(minor) / _per_unit(currency)


def _per_unit(currency: str) -> int:
    return 1 if currency.upper() in _ZERO_DECIMAL else 100


# --- Webhooks


def _verified(request: WebhookRequest) -> Any:
    """Return the event of a request that Stripe signed recently with any of the configured secrets."""
    header = request.headers.get("Stripe-Signature", "")
    # The SDK rejects old timestamps only, so reject future ones here.
    timestamp = re.match(r"t=(\d{1,12}),", header, re.ASCII)
    if not timestamp or int(timestamp[1]) > time.time() + TOLERANCE_SECONDS:
        raise WebhookRefused
    if not any(_is_signed(request.body, header, secret) for secret in settings.STRIPE_WEBHOOK_SECRETS):
        raise WebhookRefused
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise WebhookMalformed from error


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, header, secret, TOLERANCE_SECONDS)
    except (stripe.SignatureVerificationError, UnicodeDecodeError, TypeError):  # TypeError: not ASCII
        return False
    return True


def _read(event: Any) -> tuple[str, str, dict[str, Any]]:
    """Return the id, the kind and the object of an event. Raise `WebhookRefused` if it is not for this account."""
    match event:
        case {"id": str(event_id), "type": str(kind), "livemode": bool(livemode), "data": {"object": dict(about)}}:
            _check_origin(event_id, livemode, event.get("account"))
            return event_id, kind, about
    raise WebhookMalformed


def _check_origin(event_id: str, livemode: bool, account: Any) -> None:
    """Raise `WebhookMismatch` for an event of the other mode (test or live) or of a connected account."""
    if livemode == ("_live_" in settings.STRIPE_SECRET_KEY) and not account:
        return
    details = {"event_id": event_id, "livemode": livemode, "account": account}
    logger.error("webhook_foreign", extra={"provider": "stripe", **details})
    raise WebhookMismatch


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
