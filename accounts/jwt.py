"""JWTs: access tokens, and refresh tokens that are rotated at each use (RFC 9700 §4.14.2).

A login creates a family, of which only the newest refresh token may be used. If an older one is used again,
either it or its successor was stolen, so the family is revoked.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db import transaction
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from accounts import audit
from accounts.errors import InvalidRefreshToken
from accounts.models import RefreshFamily, User
from zenzefi.common.ip_addresses import normalise_ip_address

AnyToken = TypeVar("AnyToken", bound=Token)


@dataclass(frozen=True)
class TokenPair:
    """The result of a login or a refresh; `expires_in` is the lifetime of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "bearer"  # noqa: S105  (a scheme, not a secret)


def issue_access(user: User) -> str:
    """Return an access token alone, without a refresh token."""
    return str(_new_token(AccessToken, user))


def issue_pair(user: User, *, address: str = "", user_agent: str = "") -> TokenPair:
    """Create a family and return its first pair. The client's address and name are stored for the list of logins."""
    refresh = _refresh_token(user, uuid.uuid4())
    RefreshFamily.objects.create(
        id=refresh["family"],
        user=user,
        current_jti=refresh["jti"],
        address=normalise_ip_address(address),
        user_agent=user_agent[:200],
        rotated_at=timezone.now(),
        expires_at=_expiry(refresh),
    )
    return _token_pair(user, refresh)


def rotate(refresh_token: str, *, began: datetime) -> TokenPair:
    """Replace the refresh token and return the next pair of its family. `began` is the time of the request.

    Raise `InvalidRefreshToken`. Of parallel requests with one token, the first succeeds and the others fail.
    A request that came in after the token was replaced also revokes the family.
    """
    presented = _decode(refresh_token)
    family = RefreshFamily.objects.select_related("user").filter(pk=presented.get("family")).first()
    if family is None or not _is_usable(family):
        raise InvalidRefreshToken
    if family.current_jti != presented["jti"]:
        _revoke_reused(family, began)
        raise InvalidRefreshToken
    successor = _refresh_token(family.user, family.pk)
    if not _replace(family, successor):
        raise InvalidRefreshToken
    return _token_pair(family.user, successor)


def find_owner(refresh_token: str) -> User | None:
    """Return the token's user, or None if its family is unknown. Raise `InvalidRefreshToken` if it is invalid."""
    family = RefreshFamily.objects.select_related("user").filter(pk=_decode(refresh_token).get("family")).first()
    return family.user if family else None


def revoke_families(user: User) -> None:
    """Revoke every refresh token of the user. Access tokens already issued remain valid until they expire."""
    RefreshFamily.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())


def _new_token(kind: type[AnyToken], user: User) -> AnyToken:
    token = kind.for_user(user)
    token["username"] = user.username
    return token


def _refresh_token(user: User, family: uuid.UUID) -> RefreshToken:
    token = _new_token(RefreshToken, user)
    token["family"] = str(family)
    return token


def _token_pair(user: User, refresh: RefreshToken) -> TokenPair:
    return TokenPair(issue_access(user), str(refresh), int(AccessToken.lifetime.total_seconds()))


def _expiry(token: RefreshToken) -> datetime:
    return datetime.fromtimestamp(token["exp"], UTC)


def _decode(text: Any) -> RefreshToken:  # simplejwt accepts a str, but is annotated otherwise
    try:
        return RefreshToken(text)
    except TokenError as error:
        raise InvalidRefreshToken from error


def _is_usable(family: RefreshFamily) -> bool:
    return family.revoked_at is None and family.expires_at > timezone.now() and family.user.is_active


def _replace(family: RefreshFamily, successor: RefreshToken) -> bool:
    """Compare and swap the newest token. Return False if another request was faster."""
    with transaction.atomic():  # on SQLite this takes the lock first, so that the time below is that of the rotation
        newest = RefreshFamily.objects.filter(pk=family.pk, current_jti=family.current_jti, revoked_at=None)
        replaced = newest.update(
            current_jti=successor["jti"], rotated_at=timezone.now(), expires_at=_expiry(successor)
        )
    return bool(replaced)


@transaction.atomic
def _revoke_reused(family: RefreshFamily, began: datetime) -> None:
    """Revoke the family, unless it was rotated after this request began: then the two ran in parallel."""
    reused = RefreshFamily.objects.filter(pk=family.pk, revoked_at=None, rotated_at__lte=began)
    if reused.update(revoked_at=timezone.now()):
        audit.record("refresh_token_reused", family.user, family=str(family.pk))
