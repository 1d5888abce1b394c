"""Background jobs of accounts."""

from celery import shared_task
from django.core.mail import send_mail
from django.utils.translation import gettext as _

from accounts import services
from accounts.models import User


@shared_task(autoretry_for=(OSError,), retry_backoff=30, max_retries=5)
def send_password_changed(user_id: str) -> None:
    """Tell a user that the password is new."""
    user = User.objects.get(pk=user_id)
    message = _(
        "Hello %(username)s,\n\n"
        "the password of your Zenzefi account was changed, and all your devices were logged out.\n\n"
        "If it was not you, contact support at once."
    )
    send_mail(_("Your password was changed"), message % {"username": user.username}, None, [user.email])


@shared_task
def forget_refresh_sessions() -> None:
    services.forget_expired_refresh_families()
