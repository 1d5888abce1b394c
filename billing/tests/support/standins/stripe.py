"""A stand-in for Stripe's API: Checkout Sessions, refunds and disputes, and the signed events that it sends.

Shapes: https://docs.stripe.com/api/checkout/sessions, /refunds, /disputes, /events; signatures:
https://docs.stripe.com/webhooks#verify-manually.
"""

import hashlib
import hmac
import json
import time
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

from billing.tests.support.standins.server import Call, Response, StandIn

Object = dict[str, Any]


class StripeStandIn(StandIn):
    name = "stripe"
    create = "POST /v1/checkout/sessions"
    key_header = "Idempotency-Key"

    def __init__(self, secret_key: str = "sk_test_standin", *, livemode: bool = False) -> None:
        self.secret_key = secret_key
        self.livemode = livemode
        self.sessions: dict[str, Object] = {}
        self.intents: dict[str, Object] = {}
        self.charges: dict[str, Object] = {}
        self.refunds: dict[str, Object] = {}
        self.disputes: dict[str, Object] = {}
        self.refunds_are = "succeeded"  # the status of new refunds
        self._numbers = count(1)
        super().__init__()

    def made(self) -> list[str]:
        return list(self.sessions)

    # --- Responses of the API

    def rejection(self, call: Call) -> Response | None:
        if call.headers.get("Authorization") == f"Bearer {self.secret_key}":
            return None
        given = call.headers.get("Authorization", "")[-4:]
        return _error(401, "invalid_request_error", f"Invalid API Key provided: sk_test_****{given}")

    def reused_key(self) -> Response:
        return _error(
            400, "idempotency_error", "Keys for idempotent requests can only be used with the same parameters"
        )

    def act(self, call: Call) -> Response:
        form = dict(parse_qsl(call.body.decode()))
        routes = {
            "POST /v1/checkout/sessions": lambda: self._create_session(form),
            "GET /v1/checkout/sessions": lambda: self._list(self.sessions, call),
            "POST /v1/refunds": lambda: self._create_refund(form),
            "GET /v1/refunds": lambda: self._list(self.refunds, call),
            "GET /v1/disputes": lambda: self._list(self.disputes, call),
        }
        if call.place in routes:
            return routes[call.place]()
        refund_id = call.path.removeprefix("/v1/refunds/")
        if call.method == "GET" and refund_id in self.refunds:
            return 200, self.refunds[refund_id]
        session_id = call.path.removeprefix("/v1/checkout/sessions/")
        if call.method == "GET" and session_id in self.sessions:
            return 200, self._expanded(self.sessions[session_id], call)
        return _error(404, "invalid_request_error", f"No such object: '{session_id}'", code="resource_missing")

    def _create_session(self, form: dict[str, str]) -> Response:
        unit = form.get("line_items[0][price_data][unit_amount]", "")
        if form.get("mode") != "payment" or "success_url" not in form or not unit.isdigit():
            return _error(400, "invalid_request_error", "Missing required param.", code="parameter_missing")
        amount = int(unit) * int(form["line_items[0][quantity]"])
        if amount > 99_999_999:
            return _error(
                400, "invalid_request_error", "Amount must be no more than 999,999.99", code="amount_too_large"
            )
        prefix = "cs_live_" if self.livemode else "cs_test_"
        session = self._new(
            self.sessions,
            prefix,
            "checkout.session",
            amount_subtotal=amount,
            amount_total=amount,
            client_reference_id=form.get("client_reference_id"),
            currency=form["line_items[0][price_data][currency]"],
            expires_at=int(time.time()) + 86_400,
            metadata=_metadata(form, "metadata"),
            mode="payment",
            payment_intent=None,
            payment_status="unpaid",
            status="open",
            success_url=form["success_url"],
            cancel_url=form.get("cancel_url"),
        )
        session["url"] = f"https://checkout.stripe.com/c/pay/{session['id']}"
        session["_intent_metadata"] = _metadata(form, "payment_intent_data[metadata]")
        return 200, _public(session)

    def _create_refund(self, form: dict[str, str]) -> Response:
        intent = self.intents.get(form["payment_intent"])
        if not intent:
            return _error(404, "invalid_request_error", "No such payment_intent", code="resource_missing")
        charge = self.charges[intent["latest_charge"]]
        left = charge["amount"] - charge["amount_refunded"]
        amount = int(form.get("amount", left))
        if amount > left:
            message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
            return _error(400, "invalid_request_error", message, code="charge_already_refunded")
        return 200, self._refund(charge, amount, self.refunds_are)

    def _list(self, objects: dict[str, Object], call: Call) -> Response:
        wanted = {name: value for name, value in call.query.items() if name in ("payment_intent", "charge")}
        data = [_public(item) for item in objects.values() if wanted.items() <= item.items()]
        return 200, {"object": "list", "url": call.path, "has_more": False, "data": data}

    def _expanded(self, session: Object, call: Call) -> Object:
        shown = _public(session)
        if session["payment_intent"] and any("payment_intent" in value for value in call.query.values()):
            intent = dict(self.intents[session["payment_intent"]])
            if intent["latest_charge"] and any("latest_charge" in value for value in call.query.values()):
                intent["latest_charge"] = self.charges[intent["latest_charge"]]
            shown["payment_intent"] = intent
        return shown

    # --- Actions of the customer, the bank and the operator

    def pay(self, session_id: str) -> Object:
        """Pay by card as the customer. Return the session as in `checkout.session.completed`."""
        self._attempt(session_id)
        return self.arrive(session_id)

    def pay_later(self, session_id: str) -> Object:
        """Pay by a delayed method as the customer: the session is complete, the money has not arrived."""
        self._attempt(session_id)
        self.sessions[session_id]["status"] = "complete"
        return _public(self.sessions[session_id])

    def arrive(self, session_id: str) -> Object:
        """Let the money arrive."""
        session = self.sessions[session_id]
        charge = self._new_charge(session_id, paid=True)
        intent = self.intents[session["payment_intent"]]
        intent |= {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": charge["id"]}
        session |= {"status": "complete", "payment_status": "paid"}
        return _public(session)

    def fail_later(self, session_id: str) -> Object:
        """Let the delayed payment fail."""
        charge = self._new_charge(session_id, paid=False)
        self.intents[charge["payment_intent"]] |= {
            "status": "requires_payment_method",
            "latest_charge": charge["id"],
            "last_payment_error": {"type": "card_error", "code": "payment_intent_payment_attempt_failed"},
        }
        return _public(self.sessions[session_id])

    def decline(self, session_id: str) -> Object:
        """Decline the customer's card. Another may be tried while the session is open."""
        self._attempt(session_id)
        return self.fail_later(session_id)

    def expire(self, session_id: str) -> Object:
        self.sessions[session_id]["status"] = "expired"
        return _public(self.sessions[session_id])

    def refund(self, session_id: str, amount: int) -> Object:
        """Refund in Stripe's dashboard. Return the charge as in `charge.refunded`."""
        charge = self._charge(session_id)
        self._refund(charge, amount, "succeeded")
        return charge

    def settle_refund(self, refund_id: str) -> Object:
        """Let a pending refund reach the customer."""
        self.refunds[refund_id]["status"] = "succeeded"
        return self.refunds[refund_id]

    def fail_refund(self, refund_id: str) -> Object:
        refund = self.refunds[refund_id]
        charge = self.charges[refund["charge"]]
        charge["amount_refunded"] -= refund["amount"]
        refund |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
        return refund

    def dispute(self, session_id: str, status: str = "needs_response", amount: int | None = None) -> Object:
        """Open a dispute: the bank takes the money back, or only inquires if the status begins with `warning`."""
        charge = self._charge(session_id)
        charge["disputed"] = True
        return self._new(
            self.disputes,
            "du_",
            "dispute",
            amount=charge["amount"] if amount is None else amount,
            charge=charge["id"],
            currency=charge["currency"],
            metadata={},
            payment_intent=charge["payment_intent"],
            reason="fraudulent",
            status=status,
        )

    def _attempt(self, session_id: str) -> None:
        session = self.sessions[session_id]
        if not session["payment_intent"]:
            intent = self._new(
                self.intents,
                "pi_",
                "payment_intent",
                amount=session["amount_total"],
                amount_received=0,
                currency=session["currency"],
                last_payment_error=None,
                latest_charge=None,
                metadata=session["_intent_metadata"],
            )
            session["payment_intent"] = intent["id"]
        self.intents[session["payment_intent"]] |= {"status": "processing", "last_payment_error": None}

    def _new_charge(self, session_id: str, *, paid: bool) -> Object:
        intent = self.intents[self.sessions[session_id]["payment_intent"]]
        return self._new(
            self.charges,
            "ch_",
            "charge",
            amount=intent["amount"],
            amount_captured=intent["amount"] if paid else 0,
            amount_refunded=0,
            currency=intent["currency"],
            disputed=False,
            metadata=intent["metadata"],
            paid=paid,
            payment_intent=intent["id"],
            refunded=False,
            status="succeeded" if paid else "failed",
        )

    def _charge(self, session_id: str) -> Object:
        return self.charges[self.intents[self.sessions[session_id]["payment_intent"]]["latest_charge"]]

    def _refund(self, charge: Object, amount: int, status: str) -> Object:
        charge["amount_refunded"] += amount if status in ("succeeded", "pending") else 0
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        return self._new(
            self.refunds,
            "re_",
            "refund",
            amount=amount,
            charge=charge["id"],
            currency=charge["currency"],
            metadata={},
            payment_intent=charge["payment_intent"],
            reason="requested_by_customer",
            status=status,
        )

    def _new(self, objects: dict[str, Object], prefix: str, kind: str, **fields: Any) -> Object:
        new_id = f"{prefix}{next(self._numbers):06}"
        created = int(time.time())
        objects[new_id] = {"id": new_id, "object": kind, "created": created, "livemode": self.livemode, **fields}
        return objects[new_id]

    # --- Events

    def event(self, kind: str, about: Object, **changes: Any) -> bytes:
        """Return the body of a new event about an object, in an API version that the application does not use."""
        event = {
            "id": f"evt_{next(self._numbers):06}",
            "object": "event",
            "api_version": "2020-08-27",
            "created": int(time.time()),
            "data": {"object": about},
            "livemode": self.livemode,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        # Indented like Stripe's events, so that parsing and serializing it again breaks the signature.
        return json.dumps(event | changes, indent=2).encode()


def signature(body: bytes, secret: str, timestamp: int, scheme: str = "v1") -> str:
    """Return one `scheme=signature` of the `Stripe-Signature` header."""
    signed = f"{timestamp}.".encode() + body
    return f"{scheme}={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def _error(status: int, kind: str, message: str, **more: str) -> Response:
    return status, {"error": {"type": kind, "message": message, **more}}


def _metadata(form: dict[str, str], name: str) -> dict[str, str]:
    prefix = f"{name}["
    return {key.removeprefix(prefix)[:-1]: value for key, value in form.items() if key.startswith(prefix)}


def _public(item: Object) -> Object:
    return {name: value for name, value in item.items() if not name.startswith("_")}
