"""What is known about tariffs and access tokens. Reads only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from access import token_refunds, token_secret
from access.models import AccessToken, Revocation, Tariff
from access.token_refunds import Refund
from accounts.models import User

RESETS_COUNT_FOR = timedelta(hours=24)


def active(now: datetime | None = None) -> Q:
    """The condition of a token that is neither revoked nor frozen nor expired."""
    return Q(revoked_at__isnull=True, frozen_at__isnull=True, expires_at__gt=now or timezone.now())


def is_active(token: AccessToken, now: datetime | None = None) -> bool:
    """`active()` for a token that has been read."""
    return token.revoked_at is None and token.frozen_at is None and token.expires_at > (now or timezone.now())


def is_usable(token: AccessToken, now: datetime | None = None) -> bool:
    """Whether its holder passes: an active token whose user is not in debt. Reads the user's wallet."""
    return is_active(token, now) and not token.user.wallet.debt


class TokenState(StrEnum):
    """What its owner is told about a token."""

    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"
    FROZEN = "frozen"  # by an operator
    IN_DEBT = "in_debt"  # for as long as its user owes


def state(token: AccessToken, now: datetime | None = None) -> TokenState:
    """The state of a token at `now`; what cannot be undone is told first. Reads the user's wallet."""
    if token.revoked_at is not None:
        return TokenState.REVOKED
    if token.expires_at <= (now or timezone.now()):
        return TokenState.EXPIRED
    if token.frozen_at is not None:
        return TokenState.FROZEN
    return TokenState.IN_DEBT if token.user.wallet.debt else TokenState.ACTIVE


def tariffs() -> QuerySet[Tariff]:
    return Tariff.objects.order_by("scope", "duration_hours")


def tokens(*, active_only: bool = False) -> QuerySet[AccessToken]:
    """All tokens with their users and wallets, newest first; of usable ones alone, where wanted."""
    found = AccessToken.objects.select_related("user__wallet").order_by("-created_at", "id")
    return found.filter(active(), user__wallet__debt=0) if active_only else found


def tokens_of(user: User, *, active_only: bool = False) -> QuerySet[AccessToken]:
    return tokens(active_only=active_only).filter(user=user)


def live_tokens_of(user: User, now: datetime) -> QuerySet[AccessToken]:
    """The user's tokens that have not ended, the next to expire first; frozen ones among them."""
    return tokens_of(user).filter(revoked_at__isnull=True, expires_at__gt=now).order_by("expires_at", "id")


def ended_tokens_of(user: User, now: datetime) -> QuerySet[AccessToken]:
    """The user's tokens that were revoked or have expired, newest first."""
    return tokens_of(user).filter(Q(revoked_at__isnull=False) | Q(expires_at__lte=now))


def device_resets(token: AccessToken, now: datetime) -> list[datetime]:
    """When the device of the token was reset within the last 24 hours, oldest first."""
    resets = token.revocations.filter(cause=Revocation.Cause.DEVICE_RESET, created_at__gt=now - RESETS_COUNT_FOR)
    return list(resets.order_by("created_at").values_list("created_at", flat=True))


def device_resets_left(token: AccessToken, now: datetime) -> int:
    """How often the device may still be reset, of `DEVICE_RESETS_PER_DAY`."""
    return max(0, settings.DEVICE_RESETS_PER_DAY - len(device_resets(token, now)))


def find_by_secret(secret: str) -> AccessToken | None:
    """The token with this text, with its user and wallet."""
    return AccessToken.objects.select_related("user__wallet").filter(digest=token_secret.digest(secret)).first()


def denial_reason(token: AccessToken | None, now: datetime) -> str | None:
    """Why a token admits nobody at `now`, in the fixed words of the API; None where it admits."""
    if token is None:
        return "Token not found"
    reasons = {
        "Token revoked": token.revoked_at is not None,
        "Token expired": token.expires_at <= now,
        "Token frozen": token.frozen_at is not None or token.user.wallet.debt > 0,
        "User blocked": not token.user.is_active,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def refund(token: AccessToken, now: datetime) -> Refund:
    """What the time that was unused at `now` is worth, whatever the token's state."""
    duration = timedelta(hours=token.duration_hours)
    return token_refunds.refund(token.cost, duration, token.expires_at, token.activated_at, now)


def refund_quote(token: AccessToken, now: datetime) -> Refund:
    """What its owner would get for revoking the token at `now`: nothing where it is not active."""
    return refund(token, now) if is_active(token, now) else token_refunds.NOTHING


@dataclass(frozen=True)
class GrantFacts:
    """All that the admission of a request depends on."""

    token_id: UUID
    user_id: UUID
    scope: str
    expires_at: datetime
    activated: bool
    revoked: bool
    frozen: bool
    user_active: bool


def grant_facts(digest: str) -> GrantFacts | None:
    """The facts of the token with this SHA-256, by one query; None where there is no such token."""
    known = AccessToken.objects.select_related("user__wallet").defer("ciphertext")
    token = known.filter(digest=digest).first()
    if token is None:
        return None
    return GrantFacts(
        token_id=token.pk,
        user_id=token.user_id,
        scope=token.scope,
        expires_at=token.expires_at,
        activated=token.activated_at is not None,
        revoked=token.revoked_at is not None,
        frozen=token.frozen_at is not None or token.user.wallet.debt > 0,
        user_active=token.user.is_active,
    )


@dataclass(frozen=True)
class RevocationNotice:
    """A row of the outbox; it concerns a token or a user. `created_at` is shortly before its commit."""

    id: int
    cause: str
    token_id: UUID | None
    user_id: UUID | None
    created_at: datetime


def settled_revocations(since: datetime, before: datetime) -> list[int]:
    """The ids of the outbox's rows written in this time, after that of the last one before it, 0 without such."""
    rows = Revocation.objects.order_by("id").values_list("id", flat=True)
    earlier = rows.filter(created_at__lt=since).last() or 0
    return [earlier, *rows.filter(created_at__gte=since, created_at__lt=before, id__gt=earlier)]


def revocations_since(newest: int, left_out: Iterable[range]) -> list[RevocationNotice]:
    """The outbox's rows with ids above `newest`, and those in `left_out` that are there now; by id."""
    wanted = Q(id__gt=newest)
    for gap in left_out:
        wanted |= Q(id__range=(gap.start, gap.stop - 1))
    rows = Revocation.objects.filter(wanted).order_by("id")
    return [RevocationNotice(*row) for row in rows.values_list("id", "cause", "token_id", "user_id", "created_at")]
