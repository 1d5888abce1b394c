"""A stand-in for YooKassa's API: payments and refunds, and the notifications that it sends.

Shapes: https://yookassa.ru/developers/api (payment, refund), /using-api/interaction-format (keys, errors),
/using-api/webhooks (notifications).
"""

import base64
import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.tests.support.standins.server import Call, Response, StandIn

Object = dict[str, Any]


class YooKassaStandIn(StandIn):
    name = "yookassa"
    create = "POST /v3/payments"
    key_header = "Idempotence-Key"

    def __init__(self, shop_id: str = "100500", secret_key: str = "test_standin", *, test: bool = True) -> None:
        self.shop_id, self.secret_key, self.test = shop_id, secret_key, test
        self.payments: dict[str, Object] = {}
        self.refunds: dict[str, Object] = {}
        self.refunds_are = "succeeded"  # the status of new refunds
        super().__init__()

    def made(self) -> list[str]:
        return list(self.payments)

    # --- Responses of the API

    def rejection(self, call: Call) -> Response | None:
        login = base64.b64encode(f"{self.shop_id}:{self.secret_key}".encode()).decode()
        if call.headers.get("Authorization") == f"Basic {login}":
            return None
        return _error(401, "invalid_credentials", "Error in shopId or secret key. Check their validity.")

    def reused_key(self) -> Response:
        return _error(400, "invalid_request", "Idempotence key duplicated", parameter="Idempotence-Key")

    def act(self, call: Call) -> Response:
        if call.method == "POST" and not 0 < len(call.key) <= 64:
            return _error(400, "invalid_request", "Idempotence key is missing", parameter="Idempotence-Key")
        if call.place == "POST /v3/payments":
            return self._create_payment(json.loads(call.body))
        if call.place == "POST /v3/refunds":
            return self._create_refund(json.loads(call.body))
        for kind, objects in (("payments", self.payments), ("refunds", self.refunds)):
            found = objects.get(call.path.removeprefix(f"/v3/{kind}/"))
            if call.method == "GET" and found:
                return 200, found
        return _error(404, "not_found", "Incorrect payment_id. Payment doesn't exist or access denied.")

    def _create_payment(self, asked: Object) -> Response:
        amount = asked["amount"]
        if not isinstance(amount["value"], str) or Decimal(amount["value"]) <= 0:
            return _error(400, "invalid_request", "Incorrect amount", parameter="amount.value")
        payment_id = str(uuid.uuid4())
        url = f"https://yoomoney.ru/checkout/payments/v2/contract?orderId={payment_id}"
        self.payments[payment_id] = {
            "id": payment_id,
            "status": "pending",
            "amount": amount,
            "description": asked.get("description", ""),
            "recipient": {"account_id": self.shop_id, "gateway_id": "2100500"},
            "created_at": _now(),
            "confirmation": {"type": "redirect", "confirmation_url": url},
            "test": self.test,
            "paid": False,
            "refundable": False,
            "metadata": asked.get("metadata", {}),
        }
        return 200, self.payments[payment_id]

    def _create_refund(self, asked: Object) -> Response:
        payment = self.payments.get(asked["payment_id"])
        if not payment or not payment["paid"]:
            return _error(400, "invalid_request", "Payment cannot be refunded", parameter="payment_id")
        amount = Decimal(asked["amount"]["value"])
        if amount > Decimal(payment["amount"]["value"]) - Decimal(payment["refunded_amount"]["value"]):
            return _error(400, "invalid_request", "Refund amount is greater than payment", parameter="amount.value")
        return 200, self._refund(payment, amount, self.refunds_are)

    # --- What the customer, the bank or the operator do

    def pay(self, payment_id: str) -> Object:
        payment = self.payments[payment_id]
        zero = {"value": "0.00", "currency": payment["amount"]["currency"]}
        payment.pop("confirmation", None)
        payment |= {
            "status": "succeeded",
            "paid": True,
            "captured_at": _now(),
            "refundable": True,
            "refunded_amount": zero,
            "income_amount": payment["amount"],
            "payment_method": {"type": "bank_card", "id": payment_id, "saved": False, "title": "Bank card *4444"},
        }
        return payment

    def cancel(self, payment_id: str, reason: str = "insufficient_funds", party: str = "payment_network") -> Object:
        payment = self.payments[payment_id]
        payment |= {"status": "canceled", "cancellation_details": {"party": party, "reason": reason}}
        return payment

    def refund(self, payment_id: str, amount: str) -> Object:
        """Refund in YooKassa's dashboard. Return the refund as in its notification."""
        return self._refund(self.payments[payment_id], Decimal(amount), "succeeded")

    def settle_refund(self, refund_id: str) -> Object:
        """Let a pending refund reach the customer."""
        refund = self.refunds[refund_id]
        self._give_back(self.payments[refund["payment_id"]], Decimal(refund["amount"]["value"]))
        refund["status"] = "succeeded"
        return refund

    def fail_refund(self, refund_id: str) -> Object:
        """Cancel a pending refund."""
        self.refunds[refund_id] |= {
            "status": "canceled",
            "cancellation_details": {"party": "refund_network", "reason": "rejected_by_payee"},
        }
        return self.refunds[refund_id]

    def _refund(self, payment: Object, amount: Decimal, status: str) -> Object:
        if status == "succeeded":
            self._give_back(payment, amount)
        refund = {
            "id": str(uuid.uuid4()),
            "payment_id": payment["id"],
            "status": status,
            "created_at": _now(),
            "amount": {"value": f"{amount:.2f}", "currency": payment["amount"]["currency"]},
        }
        self.refunds[refund["id"]] = refund
        return refund

    def _give_back(self, payment: Object, amount: Decimal) -> None:
        total = Decimal(payment["refunded_amount"]["value"]) + amount
        payment["refunded_amount"] = {"value": f"{total:.2f}", "currency": payment["amount"]["currency"]}
        payment["refundable"] = total < Decimal(payment["amount"]["value"])

    # --- What it sends

    def notification(self, event: str, about: Object) -> bytes:
        return json.dumps({"type": "notification", "event": event, "object": about}).encode()


def _error(status: int, code: str, description: str, **more: str) -> Response:
    return status, {"type": "error", "id": str(uuid.uuid4()), "code": code, "description": description, **more}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
