"""Settings that production refuses."""

from django.core.exceptions import ImproperlyConfigured

from zenzefi.settings.deployment import ALLOWED_HOSTS, DEBUG, PRODUCTION
from zenzefi.settings.payments import PAYMENT_PROVIDERS, TEST_KEYS
from zenzefi.settings.proxy import ZENZEFI_TARGET_URL
from zenzefi.settings.stores import SQLITE

if PRODUCTION:
    _problems = {
        "DEBUG=true shows internals to everyone. Set DEBUG=false.": DEBUG,
        "SQLite is for the demo only. Set DATABASE_URL or POSTGRES_SERVER to a PostgreSQL server.": SQLITE,
        "ALLOWED_HOSTS contains '*'. List the host names instead.": any("*" in host for host in ALLOWED_HOSTS),
        "PAYMENT_PROVIDER=mock gives credits away. Set another provider, or leave it empty.": "mock"
        in PAYMENT_PROVIDERS,
        # Webhooks of a provider that is no longer offered are still accepted, so its keys count, too.
        "The test keys of a payment provider give credits away. Set its live keys.": any(
            TEST_KEYS[name] for name in ("stripe", "yookassa")
        ),
        "ZENZEFI_TARGET_URL is empty. Set it to the URL of the upstream.": not ZENZEFI_TARGET_URL,
    }
    for _sentence, _found in _problems.items():
        if _found:
            raise ImproperlyConfigured(f"ENVIRONMENT=production: {_sentence}")
