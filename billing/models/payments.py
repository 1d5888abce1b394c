"""Payments, the changes of their status, and the counter of their receipts."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.fields import MoneyField
from billing.models.ledger import Transaction
from zenzefi.common.currencies import format_amount
from zenzefi.common.hundredths import ZERO


class PaymentStatus(models.TextChoices):
    """The status of a payment. `billing.payments` holds the allowed transitions."""

    CREATED = "created", _("created")
    PENDING = "pending", _("pending")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    EXPIRED = "expired", _("expired")
    PARTLY_REFUNDED = "partly_refunded", _("partly refunded")
    REFUNDED = "refunded", _("refunded")
    DISPUTED = "disputed", _("disputed")


# The statuses of a credited payment. Its credits may have been taken back since.
CREDITED = ("succeeded", "partly_refunded", "refunded", "disputed")


def new_idempotence_key() -> str:
    """Return a new key that makes a call to a provider safe to repeat: 36 characters (YooKassa allows 64)."""
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
        """Return the price with its currency."""
        return format_amount(self.provider_amount, self.provider_currency)

    @property
    def refunded_price(self) -> str:
        """Return the amount refunded by the provider, with its currency."""
        return format_amount(self.provider_refunded, self.provider_currency)

    @property
    def receipt_number(self) -> str:
        """Return the receipt's number such as 2026-000042, or an empty string before the payment is credited."""
        return f"{self.receipt_year}-{self.receipt_serial:06d}" if self.receipt_serial else ""


class PaymentTransition(models.Model):
    """One change of a payment's status, with its cause. It is never changed or deleted."""

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
    """The number of the last receipt of a year."""

    year = models.PositiveSmallIntegerField(primary_key=True)
    last = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("counter of receipts")
        verbose_name_plural = _("counters of receipts")

    def __str__(self) -> str:
        return f"{self.year}: {self.last}"
