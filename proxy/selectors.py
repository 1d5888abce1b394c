"""What is known of sessions. Reads only; the data plane writes them a few seconds after what they count."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from access.models import AccessToken, Revocation
from accounts.models import User
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


@dataclass(frozen=True)
class Day:
    """What a user's sessions that began on this day carried, in both directions."""

    day: date
    bytes: int
    requests: int


def traffic_by_day(user: User, days: int) -> list[Day]:
    """The last `days` days, today included, in the current time zone, oldest first."""
    today = timezone.localdate()
    wanted = [today - timedelta(days=before) for before in reversed(range(days))]
    begin = timezone.make_aware(datetime.combine(wanted[0], datetime.min.time()))
    carried = (
        ProxySession.objects.filter(user=user, started_at__gte=begin)
        .annotate(day=TruncDate("started_at"))
        .order_by("day")
        .values_list("day")
        .annotate(Sum("bytes_transferred"), Sum("request_count"))
    )
    known = {day: Day(day, size, requests) for day, size, requests in carried}
    return [known.get(day, Day(day, 0, 0)) for day in wanted]
