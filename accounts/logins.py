"""A user's own logins: web sessions, and the families of refresh tokens of the API."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts import jwt, user_agents
from accounts.models import RefreshFamily, User
from accounts.sessions import WebSession


@dataclass(frozen=True)
class Login:
    """`id` is opaque; `over_api` tells a JWT login from a browser's; `current` is the session that asks."""

    id: str
    over_api: bool
    user_agent: str
    address: str | None
    began_at: datetime | None
    last_seen_at: datetime
    current: bool

    @property
    def client(self) -> str:
        """The browser and its system in words, or how the client calls itself."""
        return user_agents.describe(self.user_agent)


def for_user(user: User, *, session_key: str | None) -> list[Login]:
    """The user's logins that are still good, the one last used first."""
    sessions = [_web_login(session, session_key) for session in _sessions(user)]
    families = [_api_login(family) for family in _families(user)]
    return sorted([*sessions, *families], key=lambda login: login.last_seen_at, reverse=True)


def revoke(user: User, login_id: str) -> bool:
    """End one login of the user; False where there is none with this id."""
    for session in _sessions(user):
        if constant_time_compare(_opaque_id(session.session_key), login_id):
            session.delete()
            return True
    families = [family.pk for family in _families(user) if str(family.pk) == login_id]
    return bool(RefreshFamily.objects.filter(pk__in=families).update(revoked_at=timezone.now()))


def revoke_all(user: User, *, except_session: str | None) -> None:
    """End every login of the user but this web session."""
    WebSession.objects.filter(user=user).exclude(session_key=except_session).delete()
    jwt.revoke_families(user)


def detach_sessions(user: User) -> None:
    """Forget whose the web sessions were: a new password has ended them. One that goes on is saved with its user."""
    WebSession.objects.filter(user=user).update(user=None, address=None, user_agent="")


def delete_expired() -> int:
    """Delete the logins that have expired; gives how many."""
    now = timezone.now()
    sessions = WebSession.objects.filter(expire_date__lt=now).delete()[0]
    return sessions + RefreshFamily.objects.filter(expires_at__lt=now).delete()[0]


def _sessions(user: User) -> list[WebSession]:
    return list(WebSession.objects.filter(user=user, expire_date__gt=timezone.now()).defer("session_data"))


def _families(user: User) -> list[RefreshFamily]:
    return list(RefreshFamily.objects.filter(user=user, revoked_at=None, expires_at__gt=timezone.now()))


def _opaque_id(session_key: str) -> str:
    """The key itself is what the cookie holds: no page may show it."""
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
