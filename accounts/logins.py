"""The logins of a user: web sessions, and families of refresh tokens of the API."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts import jwt, user_agents
from accounts.models import RefreshFamily, User
from accounts.sessions import WebSession


@dataclass(frozen=True)
class Login:
    """One login. `id` is opaque; `over_api` is True for JWTs; `current` is True for the session of the request."""

    id: str
    over_api: bool
    user_agent: str
    address: str | None
    began_at: datetime | None
    last_seen_at: datetime
    current: bool

    @property
    def client(self) -> str:
        """Return the browser and its system in words, or the beginning of the client's `User-Agent`."""
        return user_agents.describe(self.user_agent)


def for_user(user: User, *, session_key: str | None) -> list[Login]:
    """Return the user's active logins, the most recently used first."""
    sessions = [_web_login(session, session_key) for session in _sessions(user)]
    families = [_api_login(family) for family in _families(user)]
    return sorted([*sessions, *families], key=lambda login: login.last_seen_at, reverse=True)


def revoke(user: User, login_id: str) -> bool:
    """Revoke one login of the user. Return False if there is none with this id."""
    for session in _sessions(user):
        if constant_time_compare(_opaque_id(session.session_key), login_id):
            session.delete()
            return True
    families = [family.pk for family in _families(user) if str(family.pk) == login_id]
    return bool(RefreshFamily.objects.filter(pk__in=families).update(revoked_at=timezone.now()))


def revoke_all(user: User, *, except_session: str | None) -> None:
    """Revoke every login of the user except this web session."""
    WebSession.objects.filter(user=user).exclude(session_key=except_session).delete()
    jwt.revoke_families(user)


def detach_sessions(user: User) -> None:
    """Detach the user's web sessions from the user, because a new password has invalidated them.

    The session that changed the password is saved again, with its user, at the end of the request.
    """
    WebSession.objects.filter(user=user).update(user=None, address=None, user_agent="")


def delete_expired() -> int:
    """Delete expired logins and return their number."""
    now = timezone.now()
    sessions = WebSession.objects.filter(expire_date__lt=now).delete()[0]
    return sessions + RefreshFamily.objects.filter(expires_at__lt=now).delete()[0]


def _sessions(user: User) -> list[WebSession]:
    return list(WebSession.objects.filter(user=user, expire_date__gt=timezone.now()).defer("session_data"))


def _families(user: User) -> list[RefreshFamily]:
    return list(RefreshFamily.objects.filter(user=user, revoked_at=None, expires_at__gt=timezone.now()))


def _opaque_id(session_key: str) -> str:
    """Return an id for the page, which must not show the session key: the cookie holds it as a credential."""
    return salted_hmac("accounts.logins", session_key, algorithm="sha256").hexdigest()


def _web_login(session: WebSession, current: str | None) -> Login:
    return Login(
        id=_opaque_id(session.session_key),
        over_api=False,
        user_agent=session.user_agent,
        address=session.address,
        began_at=session.began_at,
        last_seen_at=session.last_seen_at,
        current=session.session_key == current,
    )


def _api_login(family: RefreshFamily) -> Login:
    return Login(
        id=str(family.pk),
        over_api=True,
        user_agent=family.user_agent,
        address=family.address,
        began_at=family.created_at,
        last_seen_at=family.rotated_at,
        current=False,
    )
