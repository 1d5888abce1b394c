"""Background jobs of billing; `CELERY_BEAT_SCHEDULE` says when."""

from celery import shared_task

from billing import idempotency, proof


@shared_task
def forget_idempotency_keys() -> int:
    """Delete the idempotency keys that nobody will repeat any more; gives how many."""
    return idempotency.forget_old_keys()


@shared_task
def prove_ledger() -> int:
    """Recompute the whole ledger and tell the operators what is off; gives how much."""
    found = proof.prove()
    if found.discrepancies and proof.is_first_alarm_of_the_day():
        send_ledger_alarm.delay(found.discrepancies, found.named)
    return found.discrepancies


@shared_task(autoretry_for=(OSError,), retry_backoff=30, max_retries=5)
def send_ledger_alarm(discrepancies: int, named: list[str]) -> None:
    proof.send_alarm(discrepancies, named)
