"""Web sessions in the database, each with its user: the session engine (`SESSION_ENGINE`) and its model.

Django's engine stores the user inside the signed data, so listing or ending the sessions of one user would mean
reading all of them. This module extends the engine as Django's documentation describes.
"""

from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

CLIENT_KEY = "client"  # the key in the session for the browser's address, `User-Agent` and login time
_LAST_SEEN_INTERVAL = timedelta(minutes=1)


class WebSession(AbstractBaseSession):
    """A browser's session, with the columns that the list of logins shows."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="web_sessions", verbose_name=_("user")
    )
    address = models.GenericIPAddressField(_("IP address"), null=True)
    user_agent = models.CharField(_("client"), max_length=200, blank=True)
    began_at = models.DateTimeField(_("logged in"), null=True)
    last_seen_at = models.DateTimeField(_("last used"))

    class Meta:
        verbose_name = _("web session")
        verbose_name_plural = _("web sessions")

    @classmethod
    def get_session_store_class(cls) -> type["SessionStore"]:
        return SessionStore


class SessionStore(db.SessionStore):
    @classmethod
    def get_model_class(cls) -> type[WebSession]:
        return WebSession

    def create_model_instance(self, data: dict[str, Any]) -> WebSession:
        row = cast("WebSession", super().create_model_instance(data))
        client = data.get(CLIENT_KEY, {})
        row.user_id = data.get("_auth_user_id")
        row.address, row.user_agent = client.get("address"), client.get("user_agent", "")
        row.began_at = datetime.fromisoformat(client["began_at"]) if client else None
        row.last_seen_at = timezone.now()
        return row

    def load(self) -> dict[str, Any]:
        row = self._get_session_from_db()  # type: ignore[attr-defined]  # not in the stubs
        if row is None:
            return {}
        if _is_last_seen_outdated(row):
            self._rows(row).update(last_seen_at=timezone.now())
        return self.decode(row.session_data)

    async def aload(self) -> dict[str, Any]:
        row = await self._aget_session_from_db()  # type: ignore[attr-defined]
        if row is None:
            return {}
        if _is_last_seen_outdated(row):
            await self._rows(row).aupdate(last_seen_at=timezone.now())
        return self.decode(row.session_data)

    def _rows(self, row: WebSession) -> Any:
        return WebSession.objects.filter(pk=row.pk)


def _is_last_seen_outdated(row: WebSession) -> bool:
    """Return whether `last_seen_at` must be updated, which happens at most once a minute."""
    return row.last_seen_at < timezone.now() - _LAST_SEEN_INTERVAL
