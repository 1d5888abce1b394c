"""Sessions in the admin."""

from django.contrib import admin

from accounts.admin import ReadOnlyAdmin
from proxy.models import ProxySession


@admin.register(ProxySession)
class ProxySessionAdmin(ReadOnlyAdmin):
    list_display = ["user", "device_id", "ip", "started_at", "last_activity", "ended_at", "bytes_transferred"]
    list_select_related = ["user"]
    list_filter = ["started_at"]
    search_fields = ["id", "token__id", "user__email", "device_id", "ip"]
