"""The second factor: TOTP and recovery codes of django-allauth, by the same rules for every door."""

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.cache import cache

from accounts.errors import InvalidOtp
from accounts.login_throttle import limit_failures
from accounts.models import User


def is_on(user: User) -> bool:
    return bool(Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists())


def lacks_required_factor(user: User) -> bool:
    """Whether `ADMIN_REQUIRE_MFA` keeps this operator out."""
    return bool(settings.ADMIN_REQUIRE_MFA) and not is_on(user)


def use_code(user: User, code: str, *, address: str) -> Authenticator:
    """The authenticator whose code this is. A code passes once.

    Raises `InvalidOtp`, or `Throttled` after too many failures from `address` or for this user: who has come so far
    knows the password, and a new password is the way out.
    """
    with limit_failures(address, f"otp:{user.pk}"):
        for authenticator in Authenticator.objects.filter(user=user):
            if authenticator.wrap().validate_code(code) and _spend(authenticator, code):
                return authenticator
        raise InvalidOtp


def spend_totp_code(user: User, code: str) -> bool:
    """Note that a TOTP code was used (RFC 6238 §5.2); False where it was already."""
    lifetime = app_settings.TOTP_PERIOD * (2 * app_settings.TOTP_TOLERANCE + 1)
    return bool(cache.add(f"otp-used:{user.pk}:{''.join(filter(str.isdigit, code))}", 1, timeout=lifetime))


def _spend(authenticator: Authenticator, code: str) -> bool:
    # allauth remembers a TOTP code for one period, but with a tolerance it is valid for longer.
    return authenticator.type != Authenticator.Type.TOTP or spend_totp_code(authenticator.user, code)
