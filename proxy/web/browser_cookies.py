"""The proxy's cookies of browsers (`zenzefi_access`), which end when a browser logs out of the site."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from access import services
from access.models import AccessToken
from accounts.models import User
from accounts.signals import web_session_revoked
from proxy.dataplane.rules.cookies import ACCESS_COOKIE, read_access

_KEY = "opened_tokens"  # the key in the session for the tokens whose cookies this login gave to the browser


def remember(request: HttpRequest, token: AccessToken) -> None:
    """Remember in the session that the browser gets a cookie for the token."""
    opened = request.session.get(_KEY, [])
    if str(token.pk) not in opened:
        request.session[_KEY] = [*opened, str(token.pk)][-100:]


@receiver(user_logged_out)
def end_cookies_of_browser(request: HttpRequest, user: User | None, **_kwargs: Any) -> None:
    """End the cookies that this login gave to the browser, and the one that the browser sends now."""
    if user is None:
        return
    ids = _opened(request.session)
    known = read_access(request.COOKIES.get(ACCESS_COOKIE, ""))
    if known is not None:
        ids += AccessToken.objects.filter(digest=known[0]).values_list("pk", flat=True)
    services.end_cookies(user, ids)


@receiver(web_session_revoked)
def end_cookies_of_session(user: User, data: Mapping[str, Any], **_kwargs: Any) -> None:
    """End the cookies that a login gave to another browser, once the user has revoked that login."""
    services.end_cookies(user, _opened(data))


def _opened(session: Any) -> list[UUID]:
    return [UUID(text) for text in session.get(_KEY, [])]
