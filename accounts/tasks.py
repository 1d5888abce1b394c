"""Background jobs of accounts. The arguments of a job never contain a secret."""

from functools import partial
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from celery import Task, shared_task

from accounts import logins, mail, mail_limits
from accounts.models import User, normalise_email
from zenzefi.common.errors import StateUnavailable

sending = partial(shared_task, autoretry_for=(OSError, StateUnavailable), retry_backoff=30, max_retries=5)


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
    """Send the link that confirms an e-mail address, or a hint to another user whose address it already is."""
    address = EmailAddress.objects.select_related("user").filter(pk=address_id, verified=False).first()
    if address is None:
        return
    if User.objects.filter(email=address.email).exclude(pk=address.user_id).exists():
        send_known_address.delay(address.email)
    else:
        url = mail.link("account_confirm_email", key=EmailConfirmationHMAC.create(address).key)
        mail.send("confirm_address", address.user, to=address.email, url=url, address=address.email)


@sending(bind=True)
def send_known_address(job: "Task[Any, Any]", email: str) -> None:
    """Tell the owner of an address that someone entered it at a sign-up or as a new address."""
    user = User.objects.filter(email=email, is_active=True).first()
    if user is not None and _may_send(job, "known_address", user):
        urls = {"login_url": mail.link("account_login"), "reset_url": mail.link("account_reset_password")}
        mail.send("known_address", user, **urls)


@sending(bind=True)
def send_password_reset(job: "Task[Any, Any]", email: str) -> None:
    """Send a link for a new password if the address belongs to a user.

    The user is looked up here, after the response, so that the response time does not reveal whether one exists.
    """
    user = User.objects.filter(email=normalise_email(email), is_active=True).first()
    if user is not None and _may_send(job, "password_reset", user):
        uid, key = user_pk_to_url_str(user), default_token_generator.make_token(user)
        mail.send("password_reset", user, url=mail.link("account_reset_password_from_key", uidb36=uid, key=key))


def _may_send(job: "Task[Any, Any]", kind: str, user: User) -> bool:
    """Return whether the limit of messages allows this one. A retry after a failure is not counted again."""
    return bool(job.request.retries) or mail_limits.may_send(kind, user.pk)


@shared_task
def forget_logins() -> None:
    """Delete expired logins."""
    logins.delete_expired()
