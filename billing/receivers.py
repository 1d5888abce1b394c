"""Signal receivers: wallets of new users, the system accounts, and the e-mail after a top-up."""

from typing import Any

from django.apps import AppConfig
from django.db import transaction
from django.db.models.signals import post_migrate, post_save
from django.dispatch import receiver

from accounts.models import User
from billing import ledger, tasks
from billing.models import Payment
from billing.signals import payment_credited


@receiver(post_save, sender=User)
def open_wallet_of_new_user(instance: User, *, created: bool, raw: bool, **_kwargs: Any) -> None:
    if created and not raw:
        ledger.open_wallet(instance)


@receiver(post_migrate)
def open_system_accounts(sender: AppConfig, **_kwargs: Any) -> None:
    if sender.label == "billing":
        ledger.open_system_accounts()


@receiver(payment_credited)
def send_top_up_email(payment: Payment, **_kwargs: Any) -> None:
    # robust: a failure to queue the e-mail must not affect the credit.
    transaction.on_commit(lambda: tasks.send_top_up.delay(str(payment.pk)), robust=True)
