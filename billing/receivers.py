"""Every user has a wallet from the first moment, and the ledger has its system accounts."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate, post_save
from django.dispatch import receiver

from accounts.models import User
from billing import ledger


@receiver(post_save, sender=User)
def open_wallet_of_new_user(instance: User, *, created: bool, raw: bool, **_kwargs: Any) -> None:
    if created and not raw:
        ledger.open_wallet(instance)


@receiver(post_migrate)
def open_system_accounts(sender: AppConfig, **_kwargs: Any) -> None:
    if sender.label == "billing":
        ledger.open_system_accounts()
