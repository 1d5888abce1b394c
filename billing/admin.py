"""The admin pages of billing: read-only lists, and the refund of a payment."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from billing import payment_refunds
from billing.models import (
    Account,
    Entry,
    IdempotencyKey,
    MockCheckout,
    Payment,
    PaymentRefund,
    PaymentTransition,
    ReceiptCounter,
    Transaction,
    WebhookEvent,
)
from billing.web.payment_refunds import RefundView
from zenzefi.common.read_only_admin import ReadOnlyAdmin, ReadOnlyInline


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "balance", "debt", "id"]
    list_filter = ["code"]
    list_select_related = ["user"]
    search_fields = ["user__email", "user__username", "id"]


class EntryInline(ReadOnlyInline):
    model = Entry
    fields = ["account", "amount"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entry]:
        return super().get_queryset(request).select_related("account__user", "transaction")


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


class TransitionInline(ReadOnlyInline):
    model = PaymentTransition
    fields = ["created_at", "from_status", "to_status", "cause", "actor"]
    readonly_fields = ["created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PaymentTransition]:
        return super().get_queryset(request).select_related("actor").order_by("id")


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "user", "amount", "price", "status", "provider", "receipt_number", "id"]
    list_filter = ["status", "provider"]
    list_select_related = ["user"]
    search_fields = ["id", "user__email", "user__username", "provider_id"]
    date_hierarchy = "created_at"
    inlines = [TransitionInline]
    change_form_template = "admin/billing/payment/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        refund = self.admin_site.admin_view(RefundView.as_view(model_admin=self))
        return [path("<uuid:payment_id>/refund/", refund, name="billing_payment_refund"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        payment = self.get_object(request, object_id)
        refundable = payment is not None and payment.status in payment_refunds.REFUNDABLE
        may_refund = refundable and request.user.has_perm("billing.refund_payment")
        shown = (extra_context or {}) | {"may_refund": may_refund}
        return super().change_view(request, object_id, form_url, shown)


@admin.register(PaymentTransition)
class PaymentTransitionAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "payment", "from_status", "to_status", "cause", "actor"]
    list_filter = ["to_status"]
    list_select_related = ["payment__user", "actor"]
    search_fields = ["payment__id", "payment__user__email", "cause"]
    date_hierarchy = "created_at"


@admin.register(PaymentRefund)
class PaymentRefundAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "payment", "amount", "status", "reason", "actor"]
    list_filter = ["status"]
    list_select_related = ["payment__user", "actor"]
    search_fields = ["payment__id", "payment__user__email", "reason"]
    date_hierarchy = "created_at"


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnlyAdmin):
    list_display = ["received_at", "provider", "kind", "outcome", "payment", "event_id"]
    list_filter = ["provider", "kind"]
    list_select_related = ["payment__user"]
    search_fields = ["event_id", "payment__id", "payment__user__email"]
    date_hierarchy = "received_at"


@admin.register(ReceiptCounter)
class ReceiptCounterAdmin(ReadOnlyAdmin):
    list_display = ["year", "last"]
    search_fields = ["year"]


@admin.register(MockCheckout)
class MockCheckoutAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "payment_id", "amount", "currency", "status", "refunded", "disputed"]
    list_filter = ["status"]
    search_fields = ["id", "payment_id"]
    date_hierarchy = "created_at"


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "user", "call", "key"]
    list_select_related = ["user"]
    search_fields = ["user__email", "call", "key"]
    date_hierarchy = "created_at"
