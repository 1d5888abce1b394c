"""What is known of sessions. Reads only; the data plane writes them a few seconds after what they count."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from access.models import AccessToken, Revocation
from proxy.models import ProxySession


def sessions_of(token: AccessToken) -> QuerySet[ProxySession]:
    """All sessions of a token, newest first."""
    return ProxySession.objects.filter(token=token).order_by("-started_at", "id")


def holders(tokens: Iterable[AccessToken]) -> dict[UUID, ProxySession]:
    """The session of the device that holds each token now, by the token's id, by one query.

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
