"""Background jobs of accounts. The arguments of a job never contain a secret."""

from functools import partial

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from celery import shared_task

from accounts import logins, mail
from accounts.models import User, normalise_email

sending = partial(shared_task, autoretry_for=(OSError,), retry_backoff=30, max_retries=5)


@sending()
def send_password_changed(user_id: str) -> None:
    """Notify a user of a changed password."""
    send_notice("password_changed", user_id)


@sending()
def send_notice(name: str, user_id: str, to: str = "") -> None:
    """Send the template `name` to a user."""
    mail.send(name, User.objects.get(pk=user_id), to=to)


@sending()
def send_confirmation(address_id: int) -> None:
    """Send the link that confirms an e-mail address."""
    address = EmailAddress.objects.select_related("user").filter(pk=address_id, verified=False).first()
    if address is not None:
        url = mail.link("account_confirm_email", key=EmailConfirmationHMAC.create(address).key)
        mail.send("confirm_address", address.user, to=address.email, url=url, address=address.email)


@sending()
def send_password_reset(email: str) -> None:
    """Send a link for a new password if the address belongs to a user.

    The user is looked up here, after the response, so that the response time does not reveal whether one exists.
    """
    user = User.objects.filter(email=normalise_email(email), is_active=True).first()
    if user is not None:
        uid, key = user_pk_to_url_str(user), default_token_generator.make_token(user)
        mail.send("password_reset", user, url=mail.link("account_reset_password_from_key", uidb36=uid, key=key))


@shared_task
def forget_logins() -> None:
    """Delete expired logins."""
    logins.delete_expired()
