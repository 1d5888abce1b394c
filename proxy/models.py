"""What passed through the proxy."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from access.models import AccessToken


class ProxySession(models.Model):
    """One stretch of use of a token by one device. Written in bulk every few seconds, never per request."""

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

    class Meta:
        ordering = ["-started_at"]
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        indexes = [
            models.Index(fields=["token", "-started_at"], name="proxy_session_token_newest"),
            models.Index(
                fields=["last_activity"], name="proxy_session_open", condition=models.Q(ended_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.started_at:%Y-%m-%d %H:%M}"
