"""Queries of tariffs, access tokens and the outbox. They only read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from access import token_refunds
from access.models import AccessToken, Revocation, Tariff
from access.token_refunds import Refund
from accounts.models import User
from zenzefi.common.digests import secret_digest

RESET_WINDOW = timedelta(hours=24)


def active(now: datetime | None = None) -> Q:
    """Return the query condition of active tokens: not revoked, not frozen, not expired."""
    return Q(revoked_at__isnull=True, frozen_at__isnull=True, expires_at__gt=now or timezone.now())


def is_active(token: AccessToken, now: datetime | None = None) -> bool:
    """Return whether a token that was read before meets the condition of `active()`."""
    return token.revoked_at is None and token.frozen_at is None and token.expires_at > (now or timezone.now())


def is_usable(token: AccessToken, now: datetime | None = None) -> bool:
    """Return whether the token admits its holder: it is active and its user has no debt. This reads the wallet."""
    return is_active(token, now) and not token.user.wallet.debt


class TokenState(StrEnum):
    """The state of a token that its owner sees."""

    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"
    FROZEN = "frozen"  # by an operator
    IN_DEBT = "in_debt"  # while its user has a debt


def state(token: AccessToken, now: datetime | None = None) -> TokenState:
    """Return the state of a token at `now`; a final state takes precedence. This reads the user's wallet."""
    if token.revoked_at is not None:
        return TokenState.REVOKED
    if token.expires_at <= (now or timezone.now()):
        return TokenState.EXPIRED
    if token.frozen_at is not None:
        return TokenState.FROZEN
    return TokenState.IN_DEBT if token.user.wallet.debt else TokenState.ACTIVE


def tariffs() -> QuerySet[Tariff]:
    """Return the tariffs on sale, by scope and duration."""
    return Tariff.objects.order_by("scope", "duration_hours")


def tokens(*, active_only: bool = False) -> QuerySet[AccessToken]:
    """Return all tokens or only usable ones, with their users and wallets, newest first."""
    found = AccessToken.objects.select_related("user__wallet").order_by("-created_at", "id")
    return found.filter(active(), user__wallet__debt=0) if active_only else found


def tokens_of(user: User, *, active_only: bool = False) -> QuerySet[AccessToken]:
    """Return the user's tokens; see `tokens`."""
    return tokens(active_only=active_only).filter(user=user)


def live_tokens_of(user: User, now: datetime) -> QuerySet[AccessToken]:
    """Return the user's tokens that have not ended, frozen ones included, the next to expire first."""
    return tokens_of(user).filter(revoked_at__isnull=True, expires_at__gt=now).order_by("expires_at", "id")


def ended_tokens_of(user: User, now: datetime) -> QuerySet[AccessToken]:
    """Return the user's tokens that have ended (revoked or expired), newest first."""
    return tokens_of(user).filter(Q(revoked_at__isnull=False) | Q(expires_at__lte=now))


def device_resets(token: AccessToken, now: datetime) -> list[datetime]:
    """Return the times of the token's device resets within the last 24 hours, oldest first."""
    resets = token.revocations.filter(cause=Revocation.Cause.DEVICE_RESET, created_at__gt=now - RESET_WINDOW)
    return list(resets.order_by("created_at").values_list("created_at", flat=True))


def device_resets_left(token: AccessToken, now: datetime) -> int:
    """Return how many of the `DEVICE_RESETS_PER_DAY` resets are left."""
    return max(0, settings.DEVICE_RESETS_PER_DAY - len(device_resets(token, now)))


def find_by_secret(secret: str) -> AccessToken | None:
    """Return the token with this secret, with its user and wallet."""
    return AccessToken.objects.select_related("user__wallet").filter(digest=secret_digest(secret)).first()


def denial_reason(token: AccessToken | None, now: datetime) -> str | None:
    """Return why a token is invalid at `now`, in the fixed words of the API; None if it is valid."""
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
    """Return the refund for the time that is unused at `now`, for a token in any state."""
    duration = timedelta(hours=token.duration_hours)
    return token_refunds.refund(token.cost, duration, token.expires_at, token.activated_at, now)


def refund_quote(token: AccessToken, now: datetime) -> Refund:
    """Return the refund that the owner would get for revoking the token at `now`; zero if it is not active."""
    return refund(token, now) if is_active(token, now) else token_refunds.NOTHING


@dataclass(frozen=True)
class GrantFacts:
    """The facts about a token and its user that decide the admission of a request."""

    token_id: UUID
    user_id: UUID
    scope: str
    expires_at: datetime
    activated: bool
    revoked: bool
    frozen: bool
    user_active: bool


def grant_facts(digest: str) -> GrantFacts | None:
    """Return the facts of the token with this SHA-256, with one query; None if there is no such token."""
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
    """A row of the outbox, about a token or a user. `created_at` is shortly before its commit."""

    id: int
    cause: str
    token_id: UUID | None
    user_id: UUID | None
    created_at: datetime


def settled_revocations(since: datetime, before: datetime) -> list[int]:
    """Return the ids of the outbox rows created from `since` to before `before`.

    The first item is the id of the last row created earlier, or 0 if there is none.
    """
    rows = Revocation.objects.order_by("id").values_list("id", flat=True)
    earlier = rows.filter(created_at__lt=since).last() or 0
    return [earlier, *rows.filter(created_at__gte=since, created_at__lt=before, id__gt=earlier)]


def revocations_since(newest: int, gaps: Iterable[range]) -> list[RevocationNotice]:
    """Return the outbox rows with an id above `newest` or within one of the `gaps`, ordered by id."""
    wanted = Q(id__gt=newest)
    for gap in gaps:
        wanted |= Q(id__range=(gap.start, gap.stop - 1))
    rows = Revocation.objects.filter(wanted).order_by("id")
    return [RevocationNotice(*row) for row in rows.values_list("id", "cause", "token_id", "user_id", "created_at")]
