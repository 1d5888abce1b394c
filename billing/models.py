"""The double-entry ledger (written by `billing.ledger` alone), payments, and the idempotency keys."""

import uuid
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.fields import MoneyField
from zenzefi.common.currencies import shown

CURRENCY = "ZNC"
ZERO = Decimal("0.00")


class SystemAccount(models.TextChoices):
    """The other side of every movement of a wallet."""

    DEPOSITS = "deposits", _("deposits")
    REVENUE = "revenue", _("revenue")
    PROMOTIONS = "promotions", _("promotions")
    ADJUSTMENTS = "adjustments", _("adjustments")
    RECEIVABLES = "receivables", _("receivables")


class Account(models.Model):
    """A user's wallet, or a system account.

    A wallet's `balance` caches the sum of its entries and is never negative; its `debt` caches what its
    transactions with the receivables sum to. A system account keeps neither, so that no row is written by everybody.
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
    """`billing.payments` says which follows which."""

    CREATED = "created", _("created")
    PENDING = "pending", _("pending")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    EXPIRED = "expired", _("expired")
    PARTLY_REFUNDED = "partly_refunded", _("partly refunded")
    REFUNDED = "refunded", _("refunded")
    DISPUTED = "disputed", _("disputed")


# Those of a payment that was credited; the credits may have been taken back since.
CREDITED = ("succeeded", "partly_refunded", "refunded", "disputed")


def new_idempotence_key() -> str:
    """What makes a provider's call safe to repeat; 36 characters, YooKassa takes 64."""
    return str(uuid.uuid4())


class Payment(models.Model):
    """A top-up through a provider. `billing.payments` is the only writer of its status."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="payments", verbose_name=_("user")
    )
    amount = MoneyField(_("amount, ZNC"))
    provider = models.CharField(_("provider"), max_length=32)
    provider_amount = MoneyField(_("price"))
    provider_currency = models.CharField(_("currency"), max_length=3)
    provider_id = models.CharField(_("id at the provider"), max_length=255, blank=True)
    idempotence_key = models.CharField(
        _("idempotence key"), max_length=64, unique=True, default=new_idempotence_key, editable=False
    )
    payment_url = models.CharField(_("checkout"), max_length=2048, blank=True)
    payment_method = models.CharField(_("payment method"), max_length=64, blank=True)
    status = models.CharField(
        _("status"), max_length=16, choices=PaymentStatus.choices, default=PaymentStatus.CREATED
    )
    expires_at = models.DateTimeField(_("checkout ends"), null=True)
    transaction = models.OneToOneField(
        Transaction, models.PROTECT, null=True, related_name="payment", verbose_name=_("transaction")
    )
    receipt_year = models.PositiveSmallIntegerField(_("year of the receipt"), null=True)
    receipt_serial = models.PositiveIntegerField(_("number of the receipt"), null=True)
    provider_refunded = MoneyField(_("refunded by the provider"), default=ZERO)
    refunded_amount = MoneyField(
        _("taken back, ZNC"), default=ZERO, help_text=_("Credits taken back after refunds or a dispute.")
    )
    provider_seen_at = models.DateTimeField(_("provider's state known since"), null=True, editable=False)
    next_check_at = models.DateTimeField(_("next look at the provider"), null=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        permissions = [("refund_payment", _("Can refund payments"))]
        indexes = [
            models.Index(fields=["user", "-created_at"], name="billing_payment_user_newest"),
            models.Index(
                fields=["next_check_at"],
                name="billing_payment_due",
                condition=Q(status__in=("created", "pending")),
            ),
        ]
        constraints = [
            models.CheckConstraint(name="billing_payment_positive", condition=Q(amount__gt=0, provider_amount__gt=0)),
            models.CheckConstraint(
                name="billing_payment_credited_with_receipt",
                condition=Q(
                    status__in=CREDITED,
                    transaction__isnull=False,
                    receipt_year__isnull=False,
                    receipt_serial__isnull=False,
                )
                | (
                    ~Q(status__in=CREDITED)
                    & Q(transaction__isnull=True, receipt_year__isnull=True, receipt_serial__isnull=True)
                ),
            ),
            models.CheckConstraint(
                name="billing_payment_refunded_within",
                condition=Q(refunded_amount__gte=0, refunded_amount__lte=models.F("amount"))
                & Q(provider_refunded__gte=0, provider_refunded__lte=models.F("provider_amount")),
            ),
            models.UniqueConstraint(
                fields=["provider", "provider_id"], name="billing_payment_provider_id", condition=~Q(provider_id="")
            ),
            models.UniqueConstraint(fields=["receipt_year", "receipt_serial"], name="billing_payment_receipt_once"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} ZNC · {self.user} · {self.get_status_display()}"

    @property
    def price(self) -> str:
        """What it costs, in its currency."""
        return shown(self.provider_amount, self.provider_currency)

    @property
    def refunded_price(self) -> str:
        """What the provider has given back, in the payment's currency."""
        return shown(self.provider_refunded, self.provider_currency)

    @property
    def receipt_number(self) -> str:
        """Such as 2026-000042; empty before the payment is credited."""
        return f"{self.receipt_year}-{self.receipt_serial:06d}" if self.receipt_serial else ""


class PaymentTransition(models.Model):
    """One change of a payment's status and its cause. Never changed or deleted."""

    id = models.BigAutoField(primary_key=True)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="transitions", verbose_name=_("payment"))
    from_status = models.CharField(_("from"), max_length=16, choices=PaymentStatus.choices, blank=True)
    to_status = models.CharField(_("to"), max_length=16, choices=PaymentStatus.choices)
    cause = models.CharField(_("cause"), max_length=300)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("done by"),
        help_text=_("Empty: the system itself."),
    )
    created_at = models.DateTimeField(_("when"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("change of a payment")
        verbose_name_plural = _("changes of payments")

    def __str__(self) -> str:
        return f"{self.from_status} → {self.to_status}: {self.cause}"


class ReceiptCounter(models.Model):
    """The last number that a receipt of this year has."""

    year = models.PositiveSmallIntegerField(primary_key=True)
    last = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("counter of receipts")
        verbose_name_plural = _("counters of receipts")

    def __str__(self) -> str:
        return f"{self.year}: {self.last}"


class PaymentRefund(models.Model):
    """A refund that an operator asked for, kept before the provider is asked: a crash leaves it to be found."""

    class Status(models.TextChoices):
        REQUESTED = "requested", _("requested")
        ACCEPTED = "accepted", _("accepted by the provider")
        DONE = "done", _("done")
        REFUSED = "refused", _("refused by the provider")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="refunds", verbose_name=_("payment"))
    amount = MoneyField(_("amount"), help_text=_("In the payment's currency."))
    reason = models.CharField(_("reason"), max_length=500)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("done by"))
    idempotence_key = models.CharField(_("idempotence key"), max_length=64, unique=True, editable=False)
    status = models.CharField(_("status"), max_length=16, choices=Status.choices, default=Status.REQUESTED)
    answer = models.CharField(_("the provider's answer"), max_length=500, blank=True)
    next_check_at = models.DateTimeField(_("next look at the provider"), null=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("refund of a payment")
        verbose_name_plural = _("refunds of payments")
        constraints = [
            models.CheckConstraint(name="billing_refund_positive", condition=Q(amount__gt=0)),
            models.UniqueConstraint(
                fields=["payment"],
                name="billing_refund_one_at_a_time",
                condition=Q(status__in=("requested", "accepted")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.payment.provider_currency} · {self.get_status_display()}"


class WebhookEvent(models.Model):
    """A provider's message, stored once, in the transaction of what it caused."""

    id = models.BigAutoField(primary_key=True)
    provider = models.CharField(_("provider"), max_length=32)
    event_id = models.CharField(_("event id"), max_length=255)
    kind = models.CharField(_("kind"), max_length=100)
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


class MockCheckout(models.Model):
    """The mock provider's own books: what it would say about a payment. Nothing of ours is read from here."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotence_key = models.CharField(max_length=64, unique=True)
    payment_id = models.UUIDField()
    amount = MoneyField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    status = models.CharField(
        _("status"), max_length=16, choices=PaymentStatus.choices, default=PaymentStatus.PENDING
    )
    refunded = MoneyField(_("refunded"), default=ZERO)
    refund_keys = models.JSONField(default=list)
    disputed = models.BooleanField(_("disputed"), default=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("checkout of the mock provider")
        verbose_name_plural = _("checkouts of the mock provider")

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} · {self.get_status_display()}"


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
