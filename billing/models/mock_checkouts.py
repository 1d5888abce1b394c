"""The books of the mock provider."""

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.fields import MoneyField
from billing.models.payments import PaymentStatus
from zenzefi.common.hundredths import ZERO


class MockCheckout(models.Model):
    """A payment in the mock provider's own books. Only the mock provider reads it."""

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
