"""The life of a user: sign-up, login, logout, profile, block and deletion."""

from datetime import datetime

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as WeakPassword
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from rest_framework.exceptions import Throttled, ValidationError

from accounts import audit, email_addresses, jwt, logins, mfa, selectors, tasks
from accounts.errors import EmailUnverified, InvalidCredentials, OtpRequired
from accounts.login_throttle import limit_failures
from accounts.models import ApiToken, RefreshFamily, User, normalise_email
from accounts.sessions import WebSession
from accounts.signals import user_activity_changed
from zenzefi.common.rate_limits import RateLimit

Problems = dict[str, list[str]]


def register(
    *, email: str, username: str, password: str, full_name: str = "", referral_code: str = "", address: str
) -> User:
    """Create a user. Raise `ValidationError` by field, and `Throttled` after too many sign-ups from `address`."""
    sign_ups = RateLimit("register", settings.RATE_LIMIT_AUTH)
    if not sign_ups.allows(address):
        raise Throttled(sign_ups.retry_after(address))
    language = get_language() or settings.LANGUAGE_CODE  # of messages to the user, until the profile sets another
    referrer = selectors.referrer(referral_code) if referral_code else None
    user = User(
        email=normalise_email(email),
        username=username,
        full_name=full_name,
        language=language,
        referred_by=referrer,
    )
    problems = _taken(user) | _weaknesses(password, user)
    if referral_code and referrer is None:
        problems["referral_code"] = [_("This referral code does not exist.")]
    if problems:
        raise ValidationError(problems)
    if not sign_ups.hit(address):
        raise Throttled(sign_ups.retry_after(address))
    user.set_password(password)
    _insert(user)
    email_addresses.send_confirmation(EmailAddress.objects.get(user=user, email=user.email))
    return user


def login(email: str, password: str, otp: str = "", *, address: str, user_agent: str = "") -> jwt.TokenPair:
    """Check the credentials by the same rules as the site's login, and return a new pair of tokens.

    Raise `InvalidCredentials`, or, if the password is right, `EmailUnverified`, `OtpRequired` or `InvalidOtp`.
    Raise `Throttled` after too many failures from `address`.
    """
    user = check_credentials(email, password, address=address)
    email_addresses.require_confirmed(user)
    if mfa.is_on(user):
        if not otp:
            raise OtpRequired
        mfa.use_code(user, otp, address=address).record_usage()
    with transaction.atomic():
        # Lock the user's row: a concurrent block or new password either prevents this login or revokes it.
        unchanged = User.objects.filter(pk=user.pk, is_active=True, password=user.password)
        if not unchanged.update(last_login=timezone.now()):
            raise InvalidCredentials
        return jwt.issue_pair(user, address=address, user_agent=user_agent)


def refresh(refresh_token: str, *, began: datetime) -> jwt.TokenPair:
    """Return the next pair of tokens. `began` is the time of the request.

    Raise `InvalidRefreshToken`, or `EmailUnverified` if the user could not log in either.
    """
    owner = jwt.find_owner(refresh_token)
    if owner is not None and not email_addresses.may_log_in(owner):
        raise EmailUnverified
    return jwt.rotate(refresh_token, began=began)


def log_out(user: User) -> None:
    """Revoke every refresh token of the user."""
    jwt.revoke_families(user)


def check_credentials(email: str, password: str, *, address: str) -> User:
    """Return the active user with this e-mail address and password.

    Raise `InvalidCredentials`, or `Throttled` after too many failures from `address`.
    """
    with limit_failures(address):
        # Computes one hash for an unknown or blocked user, too, so that the time reveals nothing.
        user = authenticate(username=normalise_email(email), password=password)
        if isinstance(user, User):
            return user
        raise InvalidCredentials


def request_password_reset(email: str, *, address: str) -> None:
    """Queue the e-mail with the link; the job checks whether the e-mail address belongs to a user.

    The work and the response are therefore the same for an unknown address. Raise `Throttled` after too many
    requests from `address`.
    """
    requests = RateLimit("reset", settings.RATE_LIMIT_AUTH)
    if not requests.hit(address):
        raise Throttled(requests.retry_after(address))
    transaction.on_commit(lambda: tasks.send_password_reset.delay(normalise_email(email)))


@transaction.atomic
def update_profile(user: User, *, password: str | None = None, **fields: str) -> User:
    """Change the given fields: `full_name`, `language`, `time_zone`. Raise `ValidationError` for a weak password."""
    changed = list(fields)
    for name, value in fields.items():
        setattr(user, name, value)
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
    """Block or unblock the user; do nothing if the state is the same. The audit trail keeps `reason`.

    `reason` has at most 500 characters. Raise `ValidationError` if operators would block themselves or unblock a
    deleted account.
    """
    if user == actor and not active:
        raise ValidationError({"is_active": [_("You cannot block yourself.")]})
    if active and User.objects.filter(pk=user.pk, deleted_at__isnull=False).exists():
        raise ValidationError({"is_active": [_("This account was deleted by its user.")]})
    changed = User.objects.filter(pk=user.pk, is_active=not active).update(
        is_active=active, updated_at=timezone.now()
    )
    user.refresh_from_db(fields=["is_active", "updated_at"])
    if not changed:
        return
    audit.record("user_unblocked" if active else "user_blocked", user, actor=actor, reason=reason)
    if not active:
        jwt.revoke_families(user)
    user_activity_changed.send(sender=User, user=user)


@transaction.atomic
def turn_off_second_factor(user: User, *, actor: User) -> None:
    """Turn off a lost second factor for a user, by an operator.

    Delete the recovery codes and revoke all logins, too, and notify the user. Raise `ValidationError` if the
    operator is the user.
    """
    if user == actor:
        text = _("You cannot turn off your own second factor here. Use your account page instead.")
        raise ValidationError({"non_field_errors": [text]})
    Authenticator.objects.filter(user=user).delete()
    logins.revoke_all(user, except_session=None)
    audit.record("mfa_disabled", user, actor=actor)
    transaction.on_commit(lambda: tasks.send_notice.delay("mfa_disabled", str(user.pk)), robust=True)


@transaction.atomic
def anonymise(user: User) -> None:
    """Delete the user's personal data and all logins. The row stays, without a name, for purchases and payments.

    Raise `ValidationError` for the last operator.
    """
    if user.is_superuser:
        _require_another_superuser(user)
    user.deleted_at, user.is_active, user.is_staff, user.is_superuser = timezone.now(), False, False, False
    user.email, user.username = f"{user.pk.hex}@deleted.invalid", f"deleted-{user.pk.hex}"
    user.full_name = user.language = user.time_zone = ""
    user.set_unusable_password()
    user.save()
    for rows in (EmailAddress, Authenticator, ApiToken, RefreshFamily, WebSession):
        rows.objects.filter(user=user).delete()
    audit.record("user_deleted", user, actor=user)
    user_activity_changed.send(sender=User, user=user)


def _require_another_superuser(user: User) -> None:
    """Raise `ValidationError` if this is the last superuser.

    The lock makes concurrent deletions wait for each other; on SQLite writers wait anyway.
    """
    operators = User.objects.select_for_update().filter(is_superuser=True, is_active=True).order_by("pk")
    if list(operators) == [user]:
        text = _("You are the last operator. Make another user an operator first.")
        raise ValidationError({"non_field_errors": [text]})


def _taken(user: User) -> Problems:
    taken: Problems = {}
    if selectors.email_taken(user.email):
        taken["email"] = [_("This e-mail address is already registered.")]
    if selectors.username_taken(user.username):
        taken["username"] = [_("This user name is taken.")]
    return taken


def _weaknesses(password: str, user: User) -> Problems:
    try:
        validate_password(password, user)
    except WeakPassword as error:
        return {"password": error.messages}
    return {}


def _insert(user: User) -> None:
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:  # a concurrent sign-up was faster
        if problems := _taken(user):
            raise ValidationError(problems) from None
        raise
