"""Background jobs of billing. `CELERY_BEAT_SCHEDULE` sets their times."""

from celery import shared_task
from django.core.mail import send_mail
from django.utils.translation import gettext as _

from accounts import mail
from billing import idempotency, nightly_verification, poller
from billing.models import Payment


@shared_task
def forget_idempotency_keys() -> int:
    """Delete old idempotency keys. Return their number."""
    return idempotency.forget_old_keys()


@shared_task
def prove_ledger() -> int:
    """Verify the whole ledger, and alert the operators to discrepancies. Return their number."""
    found = nightly_verification.run()
    if found.discrepancies and nightly_verification.claim_daily_alarm():
        send_ledger_alarm.delay(found.discrepancies, found.listed)
    return found.discrepancies


@shared_task(autoretry_for=(OSError,), retry_backoff=30, max_retries=5)
def send_ledger_alarm(discrepancies: int, listed: list[str]) -> None:
    nightly_verification.send_alarm(discrepancies, listed)


@shared_task
def poll_payments() -> None:
    """Fetch the state of payments and refunds whose webhooks are missing."""
    poller.run()


@shared_task(autoretry_for=(OSError,), retry_backoff=30, max_retries=5)
def send_top_up(payment_id: str) -> None:
    """Send the user an e-mail, in the user's language, that a payment was credited."""
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
