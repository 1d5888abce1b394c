"""Users of the demo, created at the first start: an operator, and a customer with credits and a token."""

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
    """Credentials for a first try."""

    operator_password: str
    customer_password: str
    token: str


def prepare() -> Demo:
    """Return the credentials of the demo. Create its users and a valid token if they are missing."""
    operator_password, customer_password = _password("operator"), _password("customer")
    with transaction.atomic():
        if not User.objects.filter(email=OPERATOR).exists():
            User.objects.create_superuser(OPERATOR, "operator", operator_password, full_name="Olga Operator")
        customer = User.objects.filter(email=CUSTOMER).first()
        if customer is None:
            customer = User.objects.create_user(CUSTOMER, "customer", customer_password, full_name="Alice Customer")
            ledger.move(customer, _CREDITS, SystemAccount.PROMOTIONS, TransactionType.BONUS, "Demo credits")
    return Demo(operator_password, customer_password, _active_token(customer))


def _password(role: str) -> str:
    """Return the password, which is generated at the first start."""
    return env.generated_secret(settings.DATA_DIR / f"demo_{role}_password", lambda: secrets.token_urlsafe(9))


def _active_token(customer: User) -> str:
    """Return the newest active token. Buy one if there is none."""
    token = selectors.tokens_of(customer, active_only=True).first()
    if token is None:
        call = Call(customer, "demo", key="", body=None)
        token = services.purchase(call, _HOURS, Scope.FULL)
    return token_secret.decrypt(token.ciphertext) or "(its encryption key is missing)"
