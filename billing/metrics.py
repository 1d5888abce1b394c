"""Prometheus metrics of billing."""

from prometheus_client import Counter

DELETED_ACCOUNTS = Counter(
    "zenzefi_payments_for_deleted_accounts", "Payments that arrived after their account was deleted"
)
WEBHOOKS = Counter("zenzefi_webhooks", "Webhooks of payment providers by outcome", ["provider", "outcome"])
