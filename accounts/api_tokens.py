"""Personal API tokens for scripts: limited in scope and time, stored as SHA-256."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID, uuid4, uuid5

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError

from accounts import audit, email_addresses
from accounts.errors import ApiTokenAlreadyCreated, ApiTokenNotFound, InvalidApiToken
from accounts.models import ApiToken, User
from zenzefi.common.digests import secret_digest

PREFIX = "zat_"  # distinguishes an API token from a JWT, and lets secret scanners find leaked ones
MAX_DAYS = 365
MAX_USABLE = 50  # per user
_LAST_USED_INTERVAL = timedelta(minutes=1)


@transaction.atomic
def create(user: User, *, name: str, scopes: Iterable[str], days: int, key: str = "") -> tuple[ApiToken, str]:
    """Create a token that expires after `days` (at most `MAX_DAYS`). Return it and its text, which is not stored.

    Raise `ValidationError` if the user has `MAX_USABLE` tokens, and `ApiTokenAlreadyCreated` if a token was
    created with `key` before.
    """
    if usable_for_user(user).count() >= MAX_USABLE:
        raise ValidationError({"name": [_("You have too many API tokens. Delete one first.")]})
    text = PREFIX + secrets.token_urlsafe(32)
    token, is_new = ApiToken.objects.get_or_create(
        pk=uuid5(user.pk, key) if key else uuid4(),
        defaults={
            "user": user,
            "name": name,
            "prefix": text[:10],
            "digest": secret_digest(text),
            "scopes": sorted(set(scopes)),
            "expires_at": timezone.now() + timedelta(days=min(days, MAX_DAYS)),
        },
    )
    if not is_new:
        raise ApiTokenAlreadyCreated
    audit.record("api_token_created", user, actor=user, api_token=str(token.pk), scopes=token.scopes)
    return token, text


@transaction.atomic
def revoke(user: User, token_id: UUID) -> None:
    """Revoke the user's token. Raise `ApiTokenNotFound` if there is none or it is already revoked."""
    if not ApiToken.objects.filter(pk=token_id, user=user, revoked_at=None).update(revoked_at=timezone.now()):
        raise ApiTokenNotFound
    audit.record("api_token_revoked", user, actor=user, api_token=str(token_id))


def for_user(user: User) -> QuerySet[ApiToken]:
    """Return the user's tokens that are not revoked, newest first, including expired ones."""
    return ApiToken.objects.filter(user=user, revoked_at=None).order_by("-created_at", "id")


def usable_for_user(user: User) -> QuerySet[ApiToken]:
    """Return the user's tokens that are neither revoked nor expired."""
    return for_user(user).filter(expires_at__gt=timezone.now())


def authenticate(text: str) -> ApiToken:
    """Return the usable token with this text, and record its use at most once a minute. Raise `InvalidApiToken`."""
    now = timezone.now()
    usable = ApiToken.objects.filter(revoked_at=None, expires_at__gt=now, user__is_active=True)
    token = usable.select_related("user").filter(digest=secret_digest(text)).first()
    if token is None or not email_addresses.may_log_in(token.user):
        raise InvalidApiToken
    _record_use(token, now)
    return token


def _record_use(token: ApiToken, now: datetime) -> None:
    if token.last_used_at is None or token.last_used_at < now - _LAST_USED_INTERVAL:
        due = Q(last_used_at=None) | Q(last_used_at__lt=now - _LAST_USED_INTERVAL)
        ApiToken.objects.filter(due, pk=token.pk).update(last_used_at=now)
