"""Queries for sessions and denials, which the data plane writes a few seconds after the traffic."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from access.models import AccessToken, Revocation
from accounts.models import User
from proxy.models import DenialRecord, ProxySession


def sessions_of(token: AccessToken) -> QuerySet[ProxySession]:
    """Return all sessions of a token, newest first."""
    return ProxySession.objects.filter(token=token).order_by("-started_at", "id")


def holders(tokens: Iterable[AccessToken]) -> dict[UUID, ProxySession]:
    """Return the session of the device that holds each token now, by token id, with one query.

    A device holds a token until `SESSION_TIMEOUT_SECONDS` after its last activity, or until it is reset.
    """
    idle_since = timezone.now() - timedelta(seconds=settings.SESSION_TIMEOUT_SECONDS)
    reset = Revocation.objects.filter(
        token=OuterRef("token"), cause=Revocation.Cause.DEVICE_RESET, created_at__gte=OuterRef("started_at")
    )
    held = ProxySession.objects.filter(
        ~Exists(reset), token__in=[token.pk for token in tokens], ended_at__isnull=True, last_activity__gt=idle_since
    )
    return {session.token_id: session for session in held.order_by("started_at")}


def find_denial(request_id: str, user: User | None) -> DenialRecord | None:
    """Return the newest denial of the request, the user's own first.

    The client may choose the request id, so the id is no secret, and several users may have the same one.
    """
    newest = _newest_denials().filter(request_id=request_id)
    return (newest.filter(user=user).first() if user else None) or newest.first()


def denials_of(user: User) -> QuerySet[DenialRecord]:
    """Return the denials of the user's tokens, newest first."""
    return _newest_denials().filter(user=user)


def _newest_denials() -> QuerySet[DenialRecord]:
    return DenialRecord.objects.select_related("token").defer("token__ciphertext").order_by("-at", "-id")
