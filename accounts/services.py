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

from accounts import api_tokens, audit, credentials, email_addresses, jwt, locks, mfa, selectors, tasks, usernames
from accounts.errors import EmailUnverified, InvalidCredentials, OtpRequired
from accounts.login_throttle import limit_failures
from accounts.models import ApiToken, RefreshFamily, User, normalise_email
from accounts.sessions import WebSession
from accounts.signals import user_activity_changed
from zenzefi.common.rate_limits import RateLimit, address_key

Problems = dict[str, list[str]]


def register(
    *, email: str, password: str, username: str = "", full_name: str = "", referral_code: str = "", address: str
) -> User:
    """Create a user and send the link that confirms the e-mail address. Without `username` one is made from it.

    If confirmation is mandatory, a known e-mail address is not an error. Its owner gets a hint, and the result is a
    user that is not stored, which the caller shows like a new one. So a sign-up does not reveal who has an account.

    Raise `ValidationError` by field, and `Throttled` after too many attempts from `address`. An attempt counts if it
    succeeds, or if it reveals that an address, a user name or a referral code exists.
    """
    sign_ups, client = RateLimit("register", settings.RATE_LIMIT_AUTH), address_key(address)
    if not sign_ups.allows(client):
        raise Throttled(sign_ups.retry_after(client))
    language = get_language() or settings.LANGUAGE_CODE  # of messages to the user, until the profile sets another
    referrer = selectors.referrer(referral_code) if referral_code else None
    user = User(
        email=normalise_email(email),
        username=username or usernames.from_email(normalise_email(email)),
        full_name=full_name,
        language=language,
        referred_by=referrer,
    )
    revealing = _taken(user)
    if referral_code and referrer is None:
        revealing["referral_code"] = [_("This referral code does not exist.")]
    weaknesses = _weaknesses(password, user)
    if weaknesses and not revealing:
        raise ValidationError(weaknesses)
    if not sign_ups.hit(client):
        raise Throttled(sign_ups.retry_after(client))
    if revealing:
        raise ValidationError(revealing | weaknesses)
    user.set_password(password)
    if _insert(user):
        email_addresses.send_confirmation(EmailAddress.objects.get(user=user, email=user.email))
    else:
        tasks.send_known_address.delay(user.email)
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
        unchanged = User.objects.filter(
            pk=user.pk, is_active=True, password=user.password, credentials_generation=user.credentials_generation
        )
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

    Raise `InvalidCredentials`, or `Throttled` after too many failures from `address`, or too many successes from
    there or of this user.
    """
    successes = RateLimit("password", settings.RATE_LIMIT_LOGIN)
    keys = address_key(address), f"user:{normalise_email(email)}"
    with limit_failures(keys[0]):
        for key in keys:
            if not successes.allows(key):
                raise Throttled(successes.retry_after(key))
        # Computes one hash for an unknown or blocked user, too, so that the time reveals nothing.
        user = authenticate(username=normalise_email(email), password=password)
        if not isinstance(user, User):
            raise InvalidCredentials
        for key in keys:
            successes.hit(key)
        return user


def request_password_reset(email: str, *, address: str) -> None:
    """Queue the e-mail with the link; the job checks whether the e-mail address belongs to a user.

    The work and the response are therefore the same for an unknown address. Raise `Throttled` after too many
    requests from `address`.
    """
    requests, client = RateLimit("reset", settings.RATE_LIMIT_AUTH), address_key(address)
    if not requests.hit(client):
        raise Throttled(requests.retry_after(client))
    transaction.on_commit(lambda: tasks.send_password_reset.delay(normalise_email(email)))


def reset_password(user: User, password: str) -> None:
    """Set the password of a user who has lost the old one. This ends API tokens, too."""
    user.set_password(password)  # before the transaction: the hash takes long
    with transaction.atomic():
        user.save(update_fields=["password", "updated_at"])
        api_tokens.revoke_all(user)


@transaction.atomic
def password_set_by_operator(user: User, *, actor: User) -> None:
    """Record that an operator has set the user's password. This ends API tokens, too."""
    api_tokens.revoke_all(user)
    audit.record("password_set_by_operator", user, actor=actor)


@transaction.atomic
def end_after_operators_change(user: User, kind: str, *, actor: User) -> None:
    """End all credentials of a user whose identity an operator has changed, and record it."""
    credentials.end_all(user)
    audit.record(kind, user, actor=actor)


def update_profile(user: User, *, password: str | None = None, jti: str = "", **fields: str) -> User:
    """Change the given fields: `full_name`, `language`, `time_zone`. Raise `ValidationError` for a weak password.

    A new password ends all credentials but the JWT of this request (`jti`). Raise `NotAuthenticated` if that has just
    ended itself.
    """
    changed = list(fields)
    for name, value in fields.items():
        setattr(user, name, value)
    if password is not None:
        if problems := _weaknesses(password, user):
            raise ValidationError(problems)
        user.set_password(password)  # before the transaction: the hash takes long
        changed.append("password")
    with transaction.atomic():
        locks.lock_active(user)
        if password is not None:
            credentials.require_current(user)
        if changed:
            user.save(update_fields=[*changed, "updated_at"])
        if password is not None:
            credentials.keep_jwt(user, jti)
    return user


@transaction.atomic
def set_active(user: User, active: bool, *, actor: User | None, reason: str = "") -> None:
    """Block or unblock the user; do nothing if the state is the same. The audit trail keeps `reason`.

    `reason` has at most 500 characters. Raise `ValidationError` if operators would block themselves or unblock a
    deleted account.
    """
    if user == actor and not active:
        raise ValidationError({"is_active": [_("You cannot block yourself.")]})
    if locks.lock(user.pk).deleted_at and active:
        raise ValidationError({"is_active": [_("This account was deleted by its user.")]})
    changed = User.objects.filter(pk=user.pk, is_active=not active).update(
        is_active=active, updated_at=timezone.now()
    )
    user.refresh_from_db(fields=["is_active", "updated_at"])
    if not changed:
        return
    audit.record("user_unblocked" if active else "user_blocked", user, actor=actor, reason=reason)
    if not active:
        credentials.end_all(user, with_api_tokens=True)
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
    locks.lock(user.pk)
    Authenticator.objects.filter(user=user).delete()
    credentials.end_all(user)
    audit.record("mfa_disabled", user, actor=actor)
    transaction.on_commit(lambda: tasks.send_notice.delay("mfa_disabled", str(user.pk)), robust=True)


@transaction.atomic
def anonymise(user: User) -> None:
    """Delete the user's personal data and all logins. The row stays, without a name, for purchases and payments.

    Raise `ValidationError` for the last operator.
    """
    if user.is_superuser:
        _require_another_superuser(user)
    credentials.end_all(user, with_api_tokens=True)
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
    if not email_addresses.is_confirmation_mandatory() and selectors.email_taken(user.email):
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


def _insert(user: User) -> bool:
    """Store a new user. Return False without storing it if the e-mail address is known and must not be revealed."""
    is_hidden = email_addresses.is_confirmation_mandatory() and selectors.email_taken(user.email)
    try:
        return _undo_insert(user) if is_hidden else _store(user)
    except IntegrityError:  # a concurrent sign-up was faster
        if problems := _taken(user):
            raise ValidationError(problems) from None
        if email_addresses.is_confirmation_mandatory() and selectors.email_taken(user.email):
            return _undo_insert(user)
        raise


def _store(user: User) -> bool:
    with transaction.atomic():
        user.save(force_insert=True)
    return True


def _undo_insert(user: User) -> bool:
    """Do the work of an insert and undo it, so that neither the time nor the result differs."""
    email, user.email = user.email, f"{user.pk.hex}@known.invalid"
    with transaction.atomic():
        user.save(force_insert=True)
        transaction.set_rollback(True)
    user.email = email
    return False
