"""Refunds of payments that operators requested."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.fields import MoneyField
from billing.models.payments import Payment


class PaymentRefund(models.Model):
    """A refund requested by an operator, stored before the provider is called so that a crash does not lose it."""

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
