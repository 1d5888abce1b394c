"""The demo's cast, made at the first start: an operator, and a customer with credits and a bought token."""

import secrets
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.db import transaction

from access import selectors, services, token_secret
from access.models import Scope
from accounts.models import User
from billing import ledger
from billing.idempotency import Call
from billing.models import SystemAccount, TransactionType
from zenzefi import env

OPERATOR = "operator@example.com"
CUSTOMER = "customer@example.com"
DEVICE = "my-first-device"
_CREDITS = Decimal(1000)
_HOURS = 720


@dataclass(frozen=True)
class Demo:
    """What a newcomer needs to try it."""

    operator_password: str
    customer_password: str
    token: str


def prepare() -> Demo:
    """The demo's users and a token that works; made where they are missing, else as they are."""
    operator_password, customer_password = _password("operator"), _password("customer")
    with transaction.atomic():
        if not User.objects.filter(email=OPERATOR).exists():
            User.objects.create_superuser(OPERATOR, "operator", operator_password, full_name="Olga Operator")
        customer = User.objects.filter(email=CUSTOMER).first()
        if customer is None:
            customer = User.objects.create_user(CUSTOMER, "customer", customer_password, full_name="Alice Customer")
            ledger.move(customer, _CREDITS, SystemAccount.PROMOTIONS, TransactionType.BONUS, "Demo credits")
    return Demo(operator_password, customer_password, _working_token(customer))


def _password(who: str) -> str:
    return env.generated_secret(settings.DATA_DIR / f"demo_{who}_password", lambda: secrets.token_urlsafe(9))


def _working_token(customer: User) -> str:
    """The newest active token; bought again once the last one has expired."""
    token = selectors.tokens_of(customer, active_only=True).first()
    if token is None:
        call = Call(customer, "demo", key="", body=None)
        token = services.purchase(call, _HOURS, Scope.FULL)
    return token_secret.decrypt(token.ciphertext) or "(its encryption key is gone)"
