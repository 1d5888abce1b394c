"""Tariffs, access tokens, and the outbox of revocations."""

import uuid
from decimal import ROUND_HALF_UP, Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.fields import MoneyField


class Scope(models.TextChoices):
    FULL = "full", _("full access")
    CERTIFICATES_ONLY = "certificates_only", _("certificates only")


class Tariff(models.Model):
    """A duration and a scope that are sold at a price. Changes affect future purchases only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(_("title"), max_length=100)
    duration_hours = models.PositiveIntegerField(_("duration, hours"))
    scope = models.CharField(_("scope"), max_length=32, choices=Scope.choices, default=Scope.FULL)
    price = MoneyField(_("price, ZNC"))

    class Meta:
        ordering = ["scope", "duration_hours"]
        verbose_name = _("tariff")
        verbose_name_plural = _("tariffs")
        constraints = [
            models.UniqueConstraint(
                fields=["duration_hours", "scope"],
                name="access_tariff_once",
                violation_error_message=_("There is a tariff for this duration and scope already."),
            ),
            models.CheckConstraint(
                name="access_tariff_positive",
                condition=Q(price__gt=0, duration_hours__gt=0, duration_hours__lte=87_600),
                violation_error_message=_("The price is above zero, the duration from 1 to 87600 hours."),
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def price_per_hour(self) -> Decimal:
        """Return the price per hour in ZNC, rounded to 0.01. It is for display, not for computing prices."""
        return (self.price / self.duration_hours).quantize(Decimal("0.01"), ROUND_HALF_UP)


class AccessToken(models.Model):
    """A token that admits its holder to the proxy until `expires_at`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="access_tokens", verbose_name=_("user")
    )
    digest = models.CharField(_("SHA-256"), max_length=64, unique=True, editable=False)
    ciphertext = models.BinaryField(_("encrypted copy"), editable=False)
    scope = models.CharField(_("scope"), max_length=32, choices=Scope.choices)
    duration_hours = models.PositiveIntegerField(_("duration, hours"))
    cost = MoneyField(_("price paid, ZNC"))
    created_at = models.DateTimeField(_("bought"))
    expires_at = models.DateTimeField(_("expires"))
    activated_at = models.DateTimeField(_("first used"), null=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True)
    frozen_at = models.DateTimeField(_("frozen"), null=True)
    expiry_seen = models.BooleanField(_("expiry handled"), default=False, editable=False)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")
        indexes = [
            models.Index(fields=["user", "-created_at"], name="access_token_user_newest"),
            models.Index(fields=["expires_at"], name="access_token_expiry_unseen", condition=Q(expiry_seen=False)),
        ]
        constraints = [
            models.CheckConstraint(
                name="access_token_sound",
                condition=Q(cost__gte=0, duration_hours__gt=0, expires_at__gt=models.F("created_at")),
            )
        ]

    def __str__(self) -> str:
        hours = _("%(hours)d h") % {"hours": self.duration_hours}
        return f"{self.user} · {self.get_scope_display()} · {hours}"


class Revocation(models.Model):
    """A row of the outbox: a change for the data plane to apply, written in the transaction that makes the change."""

    class Cause(models.TextChoices):
        REVOKED = "revoked", _("token revoked")
        FROZEN = "frozen", _("token frozen")
        USER_BLOCKED = "user_blocked", _("user blocked")
        DEVICE_RESET = "device_reset", _("device reset")
        CHANGED = "changed", _("token or user changed")

    id = models.BigAutoField(primary_key=True)
    cause = models.CharField(_("cause"), max_length=16, choices=Cause.choices)
    token = models.ForeignKey(
        AccessToken, models.CASCADE, null=True, related_name="revocations", verbose_name=_("token")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+", verbose_name=_("user")
    )
    created_at = models.DateTimeField(_("when"), auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("revocation")
        verbose_name_plural = _("revocations")
        constraints = [
            models.CheckConstraint(
                name="access_revocation_concerns_one",
                condition=Q(token__isnull=False, user__isnull=True) | Q(token__isnull=True, user__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_cause_display()}: {self.token or self.user}"
