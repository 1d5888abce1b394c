"""Admin pages for sessions, usage and denials."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from proxy.models import DenialRecord, ProxySession, UsageHour
from zenzefi.common.read_only_admin import ReadOnlyAdmin


@admin.register(ProxySession)
class ProxySessionAdmin(ReadOnlyAdmin):
    """The admin page for sessions."""

    list_display = ["user", "device_id", "ip", "started_at", "last_activity", "ended_at", "bytes_transferred"]
    list_select_related = ["user"]
    list_filter = ["started_at"]
    search_fields = ["id", "token__id", "user__email", "device_id", "ip"]


@admin.register(UsageHour)
class UsageHourAdmin(ReadOnlyAdmin):
    """The admin page for hourly usage."""

    list_display = ["hour", "user", "token_id", "bytes", "requests", "active"]
    list_select_related = ["user"]
    list_filter = ["hour"]
    search_fields = ["token__id", "user__email"]


@admin.register(DenialRecord)
class DenialRecordAdmin(ReadOnlyAdmin):
    """The admin page for denials. The user and the token link to all of their denials."""

    list_display = ["at", "code", "status", "of_user", "of_token", "device", "ip", "path", "request_id"]
    list_select_related = ["user"]
    list_filter = ["code", "status", "at"]
    search_fields = ["request_id", "ip", "token__id", "user__email", "user__username", "user__id"]
    date_hierarchy = "at"

    @admin.display(description=_("user"), ordering="user__email")
    def of_user(self, record: DenialRecord) -> str:
        """Return the user as a link to the user's denials."""
        return format_html('<a href="?user__id__exact={}">{}</a>', record.user_id, record.user) if record.user else ""

    @admin.display(description=_("token"), ordering="token_id")
    def of_token(self, record: DenialRecord) -> str:
        """Return the start of the token's id as a link to the token's denials."""
        link = '<a href="?token__id__exact={0}">{1}</a>'
        return format_html(link, record.token_id, str(record.token_id)[:8]) if record.token_id else ""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow the filters that the links use."""
        return lookup in ("user__id__exact", "token__id__exact") or super().lookup_allowed(lookup, value, request)
