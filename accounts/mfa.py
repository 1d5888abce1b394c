"""The second factor: TOTP and recovery codes of django-allauth, with the same rules for the site and the API."""

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.cache import cache

from accounts.errors import InvalidOtp
from accounts.login_throttle import limit_failures
from accounts.models import User


def is_on(user: User) -> bool:
    """Return whether the user has set up an authenticator app."""
    return bool(Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists())


def lacks_required_factor(user: User) -> bool:
    """Return whether `ADMIN_REQUIRE_MFA` demands a second factor that this operator has not set up."""
    return bool(settings.ADMIN_REQUIRE_MFA) and not is_on(user)


def use_code(user: User, code: str, *, address: str) -> Authenticator:
    """Use up a code and return its authenticator. Each code is accepted once.

    Raise `InvalidOtp`, or `Throttled` after too many failures from `address` or for this user. The client
    already knows the password at this point, so the user can stop such attempts by changing it.
    """
    with limit_failures(address, f"otp:{user.pk}"):
        for authenticator in Authenticator.objects.filter(user=user):
            if authenticator.wrap().validate_code(code) and _spend(authenticator, code):
                return authenticator
        raise InvalidOtp


def spend_totp_code(user: User, code: str) -> bool:
    """Record the use of a TOTP code (RFC 6238 §5.2). Return False if it was used before."""
    lifetime = app_settings.TOTP_PERIOD * (2 * app_settings.TOTP_TOLERANCE + 1)
    return bool(cache.add(f"otp-used:{user.pk}:{''.join(filter(str.isdigit, code))}", 1, timeout=lifetime))


def _spend(authenticator: Authenticator, code: str) -> bool:
    # allauth remembers a used TOTP code for one period, but the tolerance makes it valid for longer.
    return authenticator.type != Authenticator.Type.TOTP or spend_totp_code(authenticator.user, code)
