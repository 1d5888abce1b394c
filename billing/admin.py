"""The ledger, payments and what providers told us, in the admin: to look at, never to change."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import ReadOnlyAdmin
from billing.models import Account, Entry, IdempotencyKey, Payment, Transaction, WebhookEvent

if TYPE_CHECKING:  # generic in the stubs only
    TabularInline = admin.TabularInline[Any, Any]
else:
    TabularInline = admin.TabularInline


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "balance", "id"]
    list_filter = ["code"]
    list_select_related = ["user"]
    search_fields = ["user__email", "user__username", "id"]


class EntryInline(TabularInline):
    model = Entry
    fields = ["account", "amount"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entry]:
        return super().get_queryset(request).select_related("account__user", "transaction")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Transaction)
class TransactionAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "type", "description", "actor", "id"]
    list_filter = ["type"]
    list_select_related = ["actor"]
    search_fields = ["id", "description", "entries__account__user__email", "idempotency_key"]
    date_hierarchy = "created_at"
    inlines = [EntryInline]


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    list_display = ["transaction", "account", "amount"]
    list_filter = ["transaction__type"]
    list_select_related = ["transaction", "account__user"]
    search_fields = ["account__user__email", "account__user__username", "transaction__id"]
    date_hierarchy = "transaction__created_at"


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "user", "amount", "status", "provider", "id"]
    list_filter = ["status", "provider"]
    list_select_related = ["user"]
    search_fields = ["id", "user__email", "user__username"]
    date_hierarchy = "created_at"


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnlyAdmin):
    list_display = ["received_at", "provider", "kind", "outcome", "payment", "event_id"]
    list_filter = ["provider", "kind"]
    list_select_related = ["payment__user"]
    search_fields = ["event_id", "payment__id", "payment__user__email"]
    date_hierarchy = "received_at"


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "user", "call", "key"]
    list_select_related = ["user"]
    search_fields = ["user__email", "call", "key"]
    date_hierarchy = "created_at"
