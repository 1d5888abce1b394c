"""Admin pages for rows that operators may see but not change."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest


class _ReadOnly:
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(_ReadOnly, admin.ModelAdmin[Any]):
    """An admin page that shows rows and lets no operator add, change or delete them."""

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return all fields, including ids and times, which forms leave out."""
        hidden = self.exclude or ()
        return self.fields or [field.name for field in self.opts.fields if field.name not in hidden]


class ReadOnlyInline(_ReadOnly, admin.TabularInline[Any, Any]):
    """Related rows on the page of an object, shown and not changed."""
