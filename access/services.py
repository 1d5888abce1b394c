"""Changes of access tokens: purchase, extension, first use, revocation, freeze, device reset."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, Value
from django.utils import timezone

from access import outbox, selectors, token_secret
from access.errors import NotOnSale, TokenNotActive, TokenNotFound, TokenTooLong, TooManyDeviceResets
from access.models import AccessToken, Revocation, Tariff
from accounts import audit
from accounts.models import User
from billing import ledger
from billing.fields import MoneyField
from billing.idempotency import Call, once
from billing.models import SystemAccount, TransactionType
from zenzefi.common.digests import secret_digest

# 100 years, far below the latest date and the largest amount that the database can store.
LONGEST_HOURS = 876_000


def purchase(call: Call, duration_hours: int, scope: str) -> AccessToken:
    """Sell the caller a token at the tariff's price. Raises `NotOnSale`, `InsufficientBalance`."""

    def act() -> tuple[AccessToken, dict[str, Any]]:
        tariff = _get_tariff(duration_hours, scope)
        _pay(call, tariff, "Access token")
        token = _issue(call.user, tariff)
        return token, _sale_record(token)

    return once(call, act, _token_of_sale)


def extend(call: Call, token_id: UUID, duration_hours: int) -> AccessToken:
    """Sell the caller more time for an active token, at the tariff of its scope.

    Raises `TokenNotFound`, `TokenNotActive`, `NotOnSale`, `TokenTooLong`, `InsufficientBalance`.
    """

    def act() -> tuple[AccessToken, dict[str, Any]]:
        token = _extend(call, token_id, duration_hours)
        return token, _sale_record(token)

    return once(call, act, _token_of_sale)


def _extend(call: Call, token_id: UUID, duration_hours: int) -> AccessToken:
    own = _query(token_id, user=call.user)
    scope = own.values_list("scope", flat=True).first()
    if scope is None:
        raise TokenNotFound
    tariff = _get_tariff(duration_hours, scope)
    token = _change(
        own,
        selectors.active(timezone.now()),
        # Without the output field, the price would be bound as a decimal number, not as hundredths.
        cost=F("cost") + Value(tariff.price, output_field=MoneyField()),
        duration_hours=F("duration_hours") + tariff.duration_hours,
        expires_at=F("expires_at") + timedelta(hours=tariff.duration_hours),
        # The clock of the job that marks expired tokens may be slightly ahead.
        expiry_seen=False,
    )
    if token.duration_hours > LONGEST_HOURS:
        raise TokenTooLong
    _pay(call, tariff, "Extension of an access token")
    outbox.write(Revocation.Cause.CHANGED, token=token)
    return token


def _sale_record(token: AccessToken) -> dict[str, Any]:
    """Return the facts of a sale that a repeated call needs. A later extension changes the token itself."""
    return {
        "token_id": str(token.pk),
        "cost": str(token.cost),
        "duration_hours": token.duration_hours,
        "expires_at": token.expires_at.isoformat(),
    }


def _token_of_sale(record: dict[str, Any]) -> AccessToken:
    """Return the token, unsaved, as it was after the sale."""
    token = AccessToken.objects.get(pk=record["token_id"])
    token.cost, token.duration_hours = Decimal(record["cost"]), record["duration_hours"]
    token.expires_at = datetime.fromisoformat(record["expires_at"])
    return token


def _get_tariff(duration_hours: int, scope: str) -> Tariff:
    tariff = Tariff.objects.filter(duration_hours=duration_hours, scope=scope).first()
    if tariff is None:
        raise NotOnSale
    return tariff


def _pay(call: Call, tariff: Tariff, purpose: str) -> None:
    ledger.move(
        call.user,
        -tariff.price,
        SystemAccount.REVENUE,
        TransactionType.PURCHASE,
        f"{purpose}: {tariff.title}",
        actor=call.user,
        idempotency_key=call.key,
    )


def _issue(user: User, tariff: Tariff) -> AccessToken:
    secret, now = token_secret.generate(), timezone.now()
    return AccessToken.objects.create(
        user=user,
        digest=secret_digest(secret),
        ciphertext=token_secret.encrypt(secret),
        scope=tariff.scope,
        duration_hours=tariff.duration_hours,
        cost=tariff.price,
        created_at=now,
        expires_at=now + timedelta(hours=tariff.duration_hours),
    )


def activate(token_id: UUID, now: datetime) -> bool:
    """Record the first use of a token. Return whether the token is active at `now` and its first use recorded."""
    active = AccessToken.objects.filter(selectors.active(now), pk=token_id)
    return bool(active.filter(activated_at__isnull=True).update(activated_at=now)) or active.exists()


def mark_expired_tokens() -> int:
    """Set `expiry_seen` of the tokens that have expired since the last call; return their number."""
    expired = AccessToken.objects.filter(expiry_seen=False, expires_at__lte=timezone.now())
    return expired.update(expiry_seen=True)


@dataclass(frozen=True)
class RefundedRevocation:
    """The result of a revocation: the refund and the wallet's balance after it, in ZNC."""

    refund: Decimal
    balance: Decimal


def revoke_with_refund(call: Call, token_id: UUID) -> RefundedRevocation:
    """Revoke the caller's active token and refund the unused time. Raises `TokenNotFound`, `TokenNotActive`."""

    def act() -> tuple[RefundedRevocation, dict[str, Any]]:
        revoked = _revoke_and_refund(call, token_id)
        return revoked, {"refund": str(revoked.refund), "balance": str(revoked.balance)}

    return once(call, act, lambda kept: RefundedRevocation(Decimal(kept["refund"]), Decimal(kept["balance"])))


def _revoke_and_refund(call: Call, token_id: UUID) -> RefundedRevocation:
    now = timezone.now()
    # The token is read after the UPDATE: a first use is either seen here or finds the token revoked.
    token = _change(_query(token_id, user=call.user), selectors.active(now), revoked_at=now)
    outbox.write(Revocation.Cause.REVOKED, token=token)
    refund = selectors.refund(token, now).amount
    if not refund:
        return RefundedRevocation(refund, ledger.balance(call.user))
    moved = ledger.move(
        call.user,
        refund,
        SystemAccount.REVENUE,
        TransactionType.REFUND,
        f"Refund of an access token: {token.duration_hours} h, {token.scope}",
        actor=call.user,
        idempotency_key=call.key,
    )
    return RefundedRevocation(refund, moved.balance)


@transaction.atomic
def revoke_by_force(token_id: UUID, *, actor: User, reason: str) -> None:
    """Revoke a token without a refund. Raises `TokenNotFound`; `TokenNotActive` if it was revoked before."""
    token = _change(_query(token_id), Q(revoked_at__isnull=True), revoked_at=timezone.now())
    outbox.write(Revocation.Cause.REVOKED, token=token)
    _record("access_token_revoked", token, actor, reason)


@transaction.atomic
def freeze(token_id: UUID, *, actor: User, reason: str) -> None:
    """Freeze an active token: until it is unfrozen, it admits no requests and cannot be refunded."""
    now = timezone.now()
    token = _change(_query(token_id), selectors.active(now), frozen_at=now)
    outbox.write(Revocation.Cause.FROZEN, token=token)
    _record("access_token_frozen", token, actor, reason)


@transaction.atomic
def unfreeze(token_id: UUID, *, actor: User, reason: str) -> None:
    """Unfreeze a token; its expiry does not change. Raises `TokenNotActive` if it is not frozen."""
    frozen = Q(frozen_at__isnull=False, revoked_at__isnull=True)
    token = _change(_query(token_id), frozen, frozen_at=None)
    outbox.write(Revocation.Cause.CHANGED, token=token)
    _record("access_token_unfrozen", token, actor, reason)


def _record(kind: str, token: AccessToken, actor: User, reason: str) -> None:
    audit.record(kind, token.user, actor=actor, reason=reason, token_id=str(token.pk))


@transaction.atomic
def reset_device(user: User, token_id: UUID) -> None:
    """Reset the device of the user's active token and cut off its connections.

    Raises `TokenNotFound`, `TokenNotActive`; `TooManyDeviceResets` after `DEVICE_RESETS_PER_DAY` in 24 hours.
    """
    now = timezone.now()
    # An UPDATE that changes nothing locks the row: parallel resets of one token run and count one after another.
    token = _change(_query(token_id, user=user), selectors.active(now), expiry_seen=F("expiry_seen"))
    earlier = selectors.device_resets(token, now)
    allowed = settings.DEVICE_RESETS_PER_DAY
    if len(earlier) >= allowed:
        counted_until = (earlier[-allowed] if allowed else now) + selectors.RESET_WINDOW
        raise TooManyDeviceResets(wait=(counted_until - now).total_seconds())
    outbox.write(Revocation.Cause.DEVICE_RESET, token=token)


def _query(token_id: UUID, **owner: User) -> QuerySet[AccessToken]:
    return AccessToken.objects.filter(pk=token_id, **owner)


def _change(token: QuerySet[AccessToken], condition: Q, **changes: Any) -> AccessToken:
    """Change the token with one conditional UPDATE, of which only one parallel call can succeed, and return it.

    Raises `TokenNotFound`; `TokenNotActive` if the condition does not hold.
    """
    if not token.filter(condition).update(**changes):
        raise TokenNotActive if token.exists() else TokenNotFound
    return token.select_related("user").get()
