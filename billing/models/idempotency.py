"""Idempotency keys of calls that moved money."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class IdempotencyKey(models.Model):
    """The success of a call that moved money, stored as ids so that a repeated call gets the same response."""

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
