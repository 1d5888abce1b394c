"""Webhooks received from payment providers."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.models.payments import Payment


class WebhookEvent(models.Model):
    """A message of a provider, stored once, in the transaction of the change that it caused."""

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
