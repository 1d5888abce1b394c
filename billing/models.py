"""The double-entry ledger (written by `billing.ledger` alone), payments, and the idempotency keys."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.fields import MoneyField

CURRENCY = "ZNC"


class SystemAccount(models.TextChoices):
    """The other side of every movement of a wallet."""

    DEPOSITS = "deposits", _("deposits")
    REVENUE = "revenue", _("revenue")
    PROMOTIONS = "promotions", _("promotions")
    ADJUSTMENTS = "adjustments", _("adjustments")


class Account(models.Model):
    """A user's wallet, or a system account.

    A wallet's `balance` caches the sum of its entries and is never negative; a system account keeps none, so
    that no row is written by everybody.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="wallet", verbose_name=_("user")
    )
    code = models.CharField(  # noqa: DJ001  (unique: many wallets have none)
        _("system account"), max_length=32, unique=True, null=True, choices=SystemAccount.choices
    )
    balance = MoneyField(_("balance"), null=True)

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
    """One movement of money: entries that sum to zero. Never changed or deleted; a correction reverses it."""

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


class PaymentStatus(models.TextChoices):
    PENDING = "pending", _("pending")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


class Payment(models.Model):
    """A top-up through a provider. Only a pending payment changes, and only once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="payments", verbose_name=_("user")
    )
    amount = MoneyField(_("amount"))
    provider = models.CharField(_("provider"), max_length=32)
    payment_method = models.CharField(_("payment method"), max_length=64, blank=True)
    status = models.CharField(
        _("status"), max_length=16, choices=PaymentStatus.choices, default=PaymentStatus.PENDING
    )
    transaction = models.OneToOneField(
        Transaction, models.PROTECT, null=True, related_name="payment", verbose_name=_("transaction")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        indexes = [models.Index(fields=["user", "-created_at"], name="billing_payment_user_newest")]
        constraints = [
            models.CheckConstraint(name="billing_payment_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="billing_payment_credited_iff_succeeded",
                condition=Q(status="succeeded", transaction__isnull=False)
                | (~Q(status="succeeded") & Q(transaction__isnull=True)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} ZNC · {self.user} · {self.get_status_display()}"


class WebhookEvent(models.Model):
    """A provider's message, stored once, in the transaction of what it caused."""

    id = models.BigAutoField(primary_key=True)
    provider = models.CharField(_("provider"), max_length=32)
    event_id = models.CharField(_("event id"), max_length=200)
    kind = models.CharField(_("kind"), max_length=64)
    payment = models.ForeignKey(
        Payment, models.PROTECT, null=True, related_name="webhook_events", verbose_name=_("payment")
    )
    outcome = models.CharField(_("outcome"), max_length=200)
    received_at = models.DateTimeField(_("received"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("webhook event")
        verbose_name_plural = _("webhook events")
        constraints = [models.UniqueConstraint(fields=["provider", "event_id"], name="billing_webhook_event_once")]

    def __str__(self) -> str:
        return f"{self.provider} {self.event_id}"


class IdempotencyKey(models.Model):
    """The success of a call that moved money, kept as ids so that a repeated call is answered again."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("user"))
    call = models.CharField(_("call"), max_length=200)
    key = models.CharField(_("key"), max_length=200)
    body_hash = models.CharField(_("SHA-256 of the body"), max_length=64)
    result = models.JSONField(_("result"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        constraints = [models.UniqueConstraint(fields=["user", "call", "key"], name="billing_idempotency_once")]

    def __str__(self) -> str:
        return f"{self.call} {self.key}"
