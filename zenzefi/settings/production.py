"""What production must not have."""

from django.core.exceptions import ImproperlyConfigured

from zenzefi.settings.deployment import ALLOWED_HOSTS, DEBUG, PRODUCTION
from zenzefi.settings.payments import PAYMENT_PROVIDERS, TEST_KEYS
from zenzefi.settings.proxy import ZENZEFI_TARGET_URL
from zenzefi.settings.stores import SQLITE

if PRODUCTION:
    _refusals = {
        "DEBUG=true shows internals to strangers": DEBUG,
        "SQLite cannot serve production, set DATABASE_URL or POSTGRES_SERVER to a PostgreSQL server": SQLITE,
        "ALLOWED_HOSTS must name the hosts, not '*'": any("*" in host for host in ALLOWED_HOSTS),
        "PAYMENT_PROVIDER=mock gives credits away": "mock" in PAYMENT_PROVIDERS,
        # Also of one that is not offered any more: what its webhooks say is believed.
        "test keys of a payment provider give credits away, set its live ones": any(
            TEST_KEYS[name] for name in ("stripe", "yookassa")
        ),
        "ZENZEFI_TARGET_URL must name the upstream": not ZENZEFI_TARGET_URL,
    }
    for _sentence, _holds in _refusals.items():
        if _holds:
            raise ImproperlyConfigured(f"ENVIRONMENT=production: {_sentence}.")
