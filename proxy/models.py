"""Records of the traffic through the proxy."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from access.models import AccessToken

LONGEST_PATH = 200  # characters of the path in a denial record
NOT_ROLLED_UP = (
    models.Q(rolled_until__isnull=True)
    | models.Q(bytes_transferred__gt=models.F("rolled_bytes"))
    | models.Q(request_count__gt=models.F("rolled_requests"))
    | models.Q(last_activity__gt=models.F("rolled_until"))
)


class ProxySession(models.Model):
    """Continuous use of a token by one device. Written in bulk every few seconds, never per request."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    token = models.ForeignKey(AccessToken, models.CASCADE, related_name="sessions", verbose_name=_("token"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="proxy_sessions", verbose_name=_("user")
    )
    device_id = models.CharField(_("device"), max_length=128)
    ip = models.GenericIPAddressField(_("IP address"), null=True)
    user_agent = models.CharField(_("client"), max_length=500, blank=True)
    started_at = models.DateTimeField(_("started"))
    last_activity = models.DateTimeField(_("last activity"))
    ended_at = models.DateTimeField(_("ended"), null=True)
    bytes_transferred = models.BigIntegerField(_("bytes"), default=0)
    request_count = models.BigIntegerField(_("requests"), default=0)
    # The part that is already in `UsageHour`. The data plane inserts rows without it, so the database has defaults.
    rolled_bytes = models.BigIntegerField(db_default=0, editable=False)
    rolled_requests = models.BigIntegerField(db_default=0, editable=False)
    rolled_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-started_at"]
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        indexes = [
            models.Index(fields=["token", "-started_at"], name="proxy_session_token_newest"),
            models.Index(
                fields=["last_activity"], name="proxy_session_open", condition=models.Q(ended_at__isnull=True)
            ),
            # Contains only the rows that changed since the last run, so the job finds them without a scan.
            models.Index(fields=["id"], name="proxy_session_not_rolled_up", condition=NOT_ROLLED_UP),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.started_at:%Y-%m-%d %H:%M}"


class UsageHour(models.Model):
    """The usage of a token in one hour of UTC. The sum over all hours equals the sum over all sessions."""

    token = models.ForeignKey(AccessToken, models.CASCADE, related_name="usage_hours", verbose_name=_("token"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="usage_hours", verbose_name=_("user")
    )
    hour = models.DateTimeField(_("hour"))
    bytes = models.BigIntegerField(_("bytes"))
    requests = models.BigIntegerField(_("requests"))
    active = models.DurationField(_("time in use"))

    class Meta:
        ordering = ["-hour"]
        verbose_name = _("hour of usage")
        verbose_name_plural = _("hours of usage")
        indexes = [models.Index(fields=["user", "hour"], name="proxy_usage_user_hour")]
        constraints = [models.UniqueConstraint(fields=["token", "hour"], name="proxy_usage_token_hour")]

    def __str__(self) -> str:
        return f"{self.user} · {self.hour:%Y-%m-%d %H:%M}"


class DenialRecord(models.Model):
    """A denied request or WebSocket, kept for a week. It has the end of the device id and no query."""

    request_id = models.CharField(_("request"), max_length=128, db_index=True)
    at = models.DateTimeField(_("when"), db_index=True)
    code = models.CharField(_("code"), max_length=32)
    # For a WebSocket, the close code.
    status = models.PositiveSmallIntegerField(_("status"))
    token = models.ForeignKey(AccessToken, models.CASCADE, null=True, related_name="+", verbose_name=_("token"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="denials", verbose_name=_("user")
    )
    device = models.CharField(_("device ends in"), max_length=2, blank=True)
    path = models.CharField(_("path"), max_length=LONGEST_PATH, blank=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True)
    # Values for the message, see `proxy.dataplane.denials.messages`.
    detail = models.JSONField(_("details"), default=dict)

    class Meta:
        ordering = ["-at"]
        verbose_name = _("denial")
        verbose_name_plural = _("denials")
        indexes = [models.Index(fields=["user", "-at"], name="proxy_denial_user_newest")]

    def __str__(self) -> str:
        return f"{self.code} · {self.at:%Y-%m-%d %H:%M:%S}"
