"""Accounts, transactions and entries of the ledger. `billing.ledger` is their only writer."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.fields import MoneyField
from zenzefi.common.hundredths import ZERO

CURRENCY = "ZNC"


class SystemAccount(models.TextChoices):
    """The account on the other side of a movement of a wallet."""

    DEPOSITS = "deposits", _("deposits")
    REVENUE = "revenue", _("revenue")
    PROMOTIONS = "promotions", _("promotions")
    ADJUSTMENTS = "adjustments", _("adjustments")
    RECEIVABLES = "receivables", _("receivables")


class Account(models.Model):
    """A user's wallet, or a system account.

    A wallet's `balance` caches the sum of its entries and is never negative. Its `debt` caches the sum of its
    transactions with the receivables. A system account has neither, so that no row is shared by all writers.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="wallet", verbose_name=_("user")
    )
    code = models.CharField(  # noqa: DJ001  (unique: many wallets have none)
        _("system account"), max_length=32, unique=True, null=True, choices=SystemAccount.choices
    )
    balance = MoneyField(_("balance"), null=True)
    debt = MoneyField(_("debt"), default=ZERO, help_text=_("Owed by the user; the next credits pay it first."))

    class Meta:
        ordering = ["code", "id"]
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        constraints = [
            models.CheckConstraint(
                name="billing_account_wallet_or_system",
                condition=Q(user__isnull=False, code__isnull=True, balance__isnull=False)
                | Q(user__isnull=True, code__isnull=False, balance__isnull=True),
            ),
            models.CheckConstraint(name="billing_account_never_negative", condition=Q(balance__gte=0)),
            models.CheckConstraint(
                name="billing_account_debt_of_a_wallet", condition=Q(debt=0) | Q(debt__gt=0, user__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.get_code_display() if self.code else str(self.user)


class TransactionType(models.TextChoices):
    DEPOSIT = "deposit", _("deposit")
    PURCHASE = "purchase", _("purchase")
    REFUND = "refund", _("refund")
    BONUS = "bonus", _("bonus")
    ADJUSTMENT = "adjustment", _("adjustment")


class Transaction(models.Model):
    """One movement of money, with entries that sum to zero. It is never changed or deleted, only reversed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    type = models.CharField(_("type"), max_length=16, choices=TransactionType.choices)
    description = models.CharField(_("description"), max_length=500)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("done by"),
        help_text=_("Empty: the system itself."),
    )
    idempotency_key = models.CharField(_("idempotency key"), max_length=200, blank=True)
    reverses = models.OneToOneField(
        "self", models.PROTECT, null=True, related_name="reversed_by", verbose_name=_("reverses")
    )
    created_at = models.DateTimeField(_("when"), auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("transaction")
        verbose_name_plural = _("transactions")

    def __str__(self) -> str:
        return f"{self.get_type_display()}: {self.description}"


class Entry(models.Model):
    """A signed amount on one account, part of a transaction."""

    id = models.BigAutoField(primary_key=True)
    transaction = models.ForeignKey(
        Transaction, models.PROTECT, related_name="entries", verbose_name=_("transaction")
    )
    account = models.ForeignKey(
        Account, models.PROTECT, related_name="entries", verbose_name=_("account"), db_index=False
    )
    amount = MoneyField(_("amount"))

    class Meta:
        ordering = ["-id"]
        verbose_name = _("entry")
        verbose_name_plural = _("entries")
        indexes = [models.Index(fields=["account", "-id"], name="billing_entry_account_newest")]
        constraints = [
            models.UniqueConstraint(fields=["transaction", "account"], name="billing_entry_once_per_account"),
            models.CheckConstraint(name="billing_entry_not_zero", condition=~Q(amount=0)),
        ]

    def __str__(self) -> str:
        return f"{self.amount} · {self.account}"
