"""The end of a user's credentials, by one counter on the user, the generation.

JWTs, web sessions, logins in progress, links for a new password and the cookies of the proxy carry the generation in
which they were issued. All of them end with one increment, in whatever second and by whatever clock they were issued.
"""

from collections.abc import Mapping
from typing import Any

from allauth.account.models import EmailAddress
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from rest_framework.exceptions import NotAuthenticated

from accounts import api_tokens, jwt, logins
from accounts.models import User
from accounts.signals import credentials_ended

_LOGIN_KEY = "login_generation"  # the key in the session for the generation in which a login began


@transaction.atomic
def end_all(user: User, *, except_session: str | None = None, with_api_tokens: bool = False) -> None:
    """End the user's JWTs, refresh tokens, logins, links and cookies, and a change of the e-mail address that waits.

    The caller must store the new generation in the session `except_session` (`update_session_auth_hash`).
    """
    User.objects.filter(pk=user.pk).update(credentials_generation=F("credentials_generation") + 1, kept_jwt="")
    user.refresh_from_db(fields=["credentials_generation", "kept_jwt"])
    jwt.revoke_families(user)
    logins.end_sessions(user, except_session=except_session)
    EmailAddress.objects.filter(user=user, primary=False).delete()
    if with_api_tokens:
        api_tokens.revoke_all(user)
    credentials_ended.send(sender=User, user=user)


def keep_jwt(user: User, jti: str) -> None:
    """Let the JWT that changed the password outlive the change."""
    User.objects.filter(pk=user.pk).update(kept_jwt=jti)
    user.kept_jwt = jti


def is_current(user: User, claims: Mapping[str, Any]) -> bool:
    """Return whether a JWT with these claims was issued in the user's generation, or is the one that ended it."""
    # A JWT from before the upgrade has no generation.
    if claims.get(jwt.GENERATION_CLAIM, 0) == user.credentials_generation:
        return True
    return bool(user.kept_jwt) and claims.get("jti") == user.kept_jwt


def require_current(user: User) -> None:
    """Lock the user. Raise `NotAuthenticated` if the credentials of this request ended since they were checked."""
    same = User.objects.select_for_update().filter(
        pk=user.pk, is_active=True, credentials_generation=user.credentials_generation
    )
    if not same.exists():
        raise NotAuthenticated


def begin_login(request: HttpRequest, user: User) -> None:
    """Remember the generation in which the password was checked, until the login is complete."""
    request.session[_LOGIN_KEY] = user.credentials_generation


def is_login_current(request: HttpRequest, user: User) -> bool:
    """Return whether the credentials of a login in progress still count."""
    begun = request.session.pop(_LOGIN_KEY, None)
    return (
        begun is not None and User.objects.filter(pk=user.pk, is_active=True, credentials_generation=begun).exists()
    )
