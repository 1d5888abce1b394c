"""Background jobs of billing; `CELERY_BEAT_SCHEDULE` says when."""

from celery import shared_task
from django.core.mail import send_mail
from django.utils.translation import gettext as _

from accounts import mail
from billing import idempotency, nightly_verification, poller
from billing.models import Payment


@shared_task
def forget_idempotency_keys() -> int:
    """Delete the idempotency keys that nobody will repeat any more; gives how many."""
    return idempotency.forget_old_keys()


@shared_task
def prove_ledger() -> int:
    """Recompute the whole ledger and tell the operators what is off; gives how much."""
    found = nightly_verification.run()
    if found.discrepancies and nightly_verification.claim_daily_alarm():
        send_ledger_alarm.delay(found.discrepancies, found.named)
    return found.discrepancies


@shared_task(autoretry_for=(OSError,), retry_backoff=30, max_retries=5)
def send_ledger_alarm(discrepancies: int, named: list[str]) -> None:
    nightly_verification.send_alarm(discrepancies, named)


@shared_task
def poll_payments() -> None:
    """Ask the providers about what their webhooks did not tell."""
    poller.run()


@shared_task(autoretry_for=(OSError,), retry_backoff=30, max_retries=5)
def send_top_up(payment_id: str) -> None:
    """Tell a user, in the user's language, that a payment was credited."""
    payment = Payment.objects.select_related("user").get(pk=payment_id)
    with mail.in_language_of(payment.user):
        message = _(
            "Hello %(username)s,\n\n"
            "We have received your payment of %(price)s and added %(amount)s ZNC to your balance.\n"
            "Receipt number: %(receipt)s"
        )
        facts = {
            "username": payment.user.username,
            "price": payment.price,
            "amount": payment.amount,
            "receipt": payment.receipt_number,
        }
        send_mail(_("Your top-up"), message % facts, None, [payment.user.email])
