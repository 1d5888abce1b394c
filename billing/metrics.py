"""Prometheus metrics of billing."""

from prometheus_client import Counter

WEBHOOKS = Counter("zenzefi_webhooks", "Webhooks of payment providers by outcome", ["provider", "outcome"])
