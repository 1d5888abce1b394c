"""What happens to a user: sign-up, login, logout, profile, block."""

import threading

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as WeakPassword
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import Throttled, ValidationError

from accounts import audit, selectors, tokens
from accounts.errors import InvalidCredentials
from accounts.models import RefreshFamily, User, normalise_email
from accounts.ratelimit import RateLimit
from accounts.signals import user_activity_changed

# Logins from one address take turns: a parallel burst tries no more passwords than the limit allows.
_turns = tuple(threading.Lock() for _number in range(64))

Problems = dict[str, list[str]]


def register(
    *, email: str, username: str, password: str, full_name: str = "", referral_code: str = "", address: str
) -> User:
    """A new user. Raises `ValidationError` by field, `Throttled` after too many sign-ups from `address`."""
    sign_ups = RateLimit("register", settings.RATE_LIMIT_AUTH)
    if not sign_ups.allows(address):
        raise Throttled(sign_ups.retry_after(address))
    user = User(email=normalise_email(email), username=username, full_name=full_name)
    if problems := _taken(user) | _weaknesses(password, user) | _refer(user, referral_code):
        raise ValidationError(problems)
    if not sign_ups.hit(address):
        raise Throttled(sign_ups.retry_after(address))
    user.set_password(password)
    return _insert(user)


def login(email: str, password: str, *, address: str) -> tokens.TokenPair:
    """A new pair of tokens.

    Raises `InvalidCredentials`, or `Throttled` after too many failures from `address`.
    """
    user = check_credentials(email, password, address=address)
    with transaction.atomic():
        # Holds the user's row: a block or a new password comes before this login, or ends it.
        unchanged = User.objects.filter(pk=user.pk, is_active=True, password=user.password)
        if not unchanged.update(last_login=timezone.now()):
            raise InvalidCredentials
        return tokens.issue_pair(user)


def check_credentials(email: str, password: str, *, address: str) -> User:
    """The active user with this e-mail and password.

    Raises `InvalidCredentials`, or `Throttled` after too many failures from `address`.
    """
    failures = RateLimit("login", settings.RATE_LIMIT_AUTH)
    with _turns[hash(address) % len(_turns)]:
        if not failures.allows(address):
            raise Throttled(failures.retry_after(address))
        # Hashes once for an unknown and for a blocked user, too.
        user = authenticate(username=email, password=password)
        if isinstance(user, User):
            return user
        if not failures.hit(address):  # another process counted in the meantime
            raise Throttled(failures.retry_after(address))
        raise InvalidCredentials


@transaction.atomic
def update_profile(user: User, *, full_name: str | None = None, password: str | None = None) -> User:
    """Change what is given. Raises `ValidationError` for a weak password."""
    changed = []
    if full_name is not None:
        user.full_name = full_name
        changed.append("full_name")
    if password is not None:
        if problems := _weaknesses(password, user):
            raise ValidationError(problems)
        user.set_password(password)
        changed.append("password")
    if changed:
        user.save(update_fields=[*changed, "updated_at"])
    return user


@transaction.atomic
def set_active(user: User, active: bool, *, actor: User | None, reason: str = "") -> None:
    """Block or unblock; `reason` (at most 500 characters) goes to the audit. Already so: nothing happens.

    Raises `ValidationError` for an operator who would block herself.
    """
    if user == actor and not active:
        raise ValidationError({"is_active": [_("You cannot block yourself.")]})
    changed = User.objects.filter(pk=user.pk, is_active=not active).update(
        is_active=active, updated_at=timezone.now()
    )
    user.refresh_from_db(fields=["is_active", "updated_at"])
    if not changed:
        return
    audit.record("user_unblocked" if active else "user_blocked", user, actor=actor, reason=reason)
    if not active:
        tokens.revoke_families(user)
    user_activity_changed.send(sender=User, user=user)


def forget_expired_refresh_families() -> int:
    """Delete the families whose newest token has expired; gives how many."""
    return RefreshFamily.objects.filter(expires_at__lt=timezone.now()).delete()[0]


def _taken(user: User) -> Problems:
    taken: Problems = {}
    if selectors.email_taken(user.email):
        taken["email"] = [_("This e-mail is registered already.")]
    if selectors.username_taken(user.username):
        taken["username"] = [_("This user name is taken.")]
    return taken


def _weaknesses(password: str, user: User) -> Problems:
    try:
        validate_password(password, user)
    except WeakPassword as error:
        return {"password": error.messages}
    return {}


def _refer(user: User, code: str) -> Problems:
    user.referred_by = selectors.referrer(code) if code else None
    return {"referral_code": [_("This referral code is not known.")]} if code and not user.referred_by else {}


def _insert(user: User) -> User:
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:  # a parallel sign-up was faster
        if problems := _taken(user):
            raise ValidationError(problems) from None
        raise
    return user
