"""The data that the pages show: a customer with a history, one without, and an operator."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.conf import settings
from django.test import Client
from django.utils import timezone

from access import services
from access.models import AccessToken, Scope
from accounts import api_tokens, email_addresses, jwt
from accounts.models import User
from accounts.sessions import CLIENT_KEY
from accounts.tests.factories import UserFactory, turn_on_totp
from billing import settlement
from billing.idempotency import Call
from billing.models import Payment, PaymentStatus
from billing.tests.support.mock_provider import at_provider, create_pending_payment
from billing.topups import create_payment, mock_purchase
from proxy.models import DenialRecord, ProxySession
from proxy.rollups import roll_up
from zenzefi.tests.browser.registry import ANYONE, CUSTOMER, NEWCOMER, OPERATOR

PASSWORD = "a-good-one-42"
DENIAL = "7d1f0c5a9b3e4d26-0"


@dataclass(frozen=True)
class Scenery:
    """Values for the paths of the registry in `names`, and the session cookie of each user in `sessions`."""

    names: dict[str, str]
    sessions: dict[str, str]


def build() -> Scenery:
    """Create the data through the services, as users would."""
    users = {
        CUSTOMER: UserFactory(username="alice", full_name="Alice Example", password=PASSWORD),
        NEWCOMER: UserFactory(username="nina", full_name="Nina Newcomer", password=PASSWORD),
        OPERATOR: UserFactory(username="olga", password=PASSWORD, is_staff=True, is_superuser=True),
    }
    names = _history(users[CUSTOMER]) | _accounts(users)
    return Scenery(names, {ANYONE: "", **{who: _session(user, names["token"]) for who, user in users.items()}})


def _accounts(users: dict[str, User]) -> dict[str, str]:
    """Create logins, keys and links. The newcomer's address is not confirmed yet."""
    customer, newcomer = users[CUSTOMER], users[NEWCOMER]
    email_addresses.mark_confirmed(customer)
    turn_on_totp(users[OPERATOR])
    jwt.issue_pair(customer, address="203.0.113.7", user_agent="ZenzefiDesktop/2.4 (Windows)")
    api_token, _text = api_tokens.create(customer, name="Nightly report", scopes=["read", "tokens"], days=90)
    return {
        "api_token": str(api_token.pk),
        "confirmation": EmailConfirmationHMAC.create(EmailAddress.objects.get(user=newcomer)).key,
    }


def _session(user: User, bought_token: str) -> str:
    """Return the cookie of a session with a recent password confirmation and purchase, which some pages need."""
    client = Client()
    client.force_login(user)
    session = client.session
    given = {"method": "password", "at": time.time() + 3600, "reauthenticated": True}
    session[CLIENT_KEY] |= {
        "address": "203.0.113.7",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    }
    session["account_authentication_methods"] = [given]
    session["account_authentication_methods_user"] = str(user.pk)
    session["access_bought"] = {bought_token: time.time() + 3600}
    session.save()
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def _history(user: User) -> dict[str, str]:
    """Create top-ups, purchases, a revocation and a week of use."""
    now = timezone.now()

    def call(what: str) -> Call:
        return Call(user, what, key="", body=None)

    mock_purchase(call("top-up"), Decimal(500))
    paid = _ended_payment(user, "50", PaymentStatus.SUCCEEDED)
    declined = _ended_payment(user, "30", PaymentStatus.FAILED)
    payment = create_payment(call("payment"), Decimal(100))
    services.purchase(call("purchase"), 24, Scope.CERTIFICATES_ONLY)
    unwanted = services.purchase(call("purchase"), 1, Scope.FULL)
    services.revoke_with_refund(call("revoke"), unwanted.pk)
    token = services.purchase(call("purchase"), 168, Scope.FULL)
    services.activate(token.pk, now)
    _use(token, now)
    _record_denials(token, now)
    return {
        "token": str(token.pk),
        "revoked": str(unwanted.pk),
        "payment": str(payment.pk),
        "checkout": payment.provider_id,
        "declined": str(declined.pk),
        "paid": str(paid.pk),
        "denial": DENIAL,
    }


def _ended_payment(user: User, amount: str, status: PaymentStatus) -> Payment:
    payment = create_pending_payment(user, amount)
    at_provider(payment, status=status)
    settlement.settle(payment, settlement.fetch_state(payment), cause="scenery")
    return payment


def _use(token: AccessToken, now: datetime) -> None:
    """Create a session on each of seven days; the last one is still open."""
    ProxySession.objects.bulk_create(
        ProxySession(
            token=token,
            user=token.user,
            device_id="alice-laptop-41",
            ip="203.0.113.7",
            user_agent="ZenzefiDesktop/2.4 (Windows)",
            started_at=now - timedelta(days=day, minutes=50),
            last_activity=now - timedelta(days=day, minutes=1),
            ended_at=now - timedelta(days=day) if day else None,
            bytes_transferred=(9 - day) * 7_340_032,
            request_count=(9 - day) * 131,
        )
        for day in range(7)
    )
    roll_up()


def _record_denials(token: AccessToken, now: datetime) -> None:
    """Create denials with several codes, the last one with the id `DENIAL`."""
    held = {"holder": "41", "held_until": (now + timedelta(hours=4)).isoformat()}
    denials = [
        ("device_conflict", 409, held),
        ("token_expired", 401, {"expired_at": (now - timedelta(hours=26)).isoformat()}),
        ("upstream_timeout", 504, {}),
        ("scope_denied", 4403, {}),
    ]
    DenialRecord.objects.bulk_create(
        DenialRecord(
            request_id=f"{DENIAL[:-1]}{number}",
            at=now - timedelta(hours=number * 9),
            code=code,
            status=status,
            token=token,
            user=token.user,
            device="7b",
            path="/api/v1/proxy/pages",
            ip="203.0.113.7",
            detail=detail,
        )
        for number, (code, status, detail) in enumerate(denials)
    )
