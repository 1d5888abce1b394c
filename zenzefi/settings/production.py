"""Settings that production refuses."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from django.http.request import validate_host

from zenzefi import env, problems
from zenzefi.settings.accounts import EMAIL_BACKEND
from zenzefi.settings.deployment import ALLOWED_HOSTS, BACKEND_URL, DEBUG, PRODUCTION, TRUSTED_PROXIES
from zenzefi.settings.payments import PAYMENT_PROVIDERS, TEST_KEYS
from zenzefi.settings.proxy import COOKIE_SECURE, ZENZEFI_TARGET_URL
from zenzefi.settings.stores import SQLITE

_WIDEST_PREFIX = {4: 8, 6: 7}  # those of the private networks 10.0.0.0/8 and fc00::/7


def _is_too_wide(networks: Sequence[env.Network]) -> bool:
    """Return whether the networks together, such as the two halves of all addresses, contain strangers."""
    for version, widest in _WIDEST_PREFIX.items():
        same = [network for network in networks if network.version == version]
        if any(network.prefixlen < widest for network in ipaddress.collapse_addresses(same)):  # type: ignore[type-var]
            return True
    return False


_PROBLEMS = {
    "DEBUG=true shows internals to everyone. Set DEBUG=false.": DEBUG,
    "SQLite is for the demo only. Set DATABASE_URL or POSTGRES_SERVER to a PostgreSQL server.": SQLITE
    and env.is_usable("DATABASE_URL"),
    "ALLOWED_HOSTS contains '*'. List the host names instead.": any("*" in host for host in ALLOWED_HOSTS),
    f"BACKEND_URL={BACKEND_URL!r} is not https. Set it to the public URL, such as https://zenzefi.example.": (
        not BACKEND_URL.startswith("https://") and env.is_usable("BACKEND_URL")
    ),
    "ALLOWED_HOSTS does not contain the host of BACKEND_URL, so the site would refuse its own address. Add it.": (
        BACKEND_URL.startswith("https://") and not validate_host(urlsplit(BACKEND_URL).hostname or "", ALLOWED_HOSTS)
    ),
    "TRUSTED_PROXIES contains addresses of strangers, who could forge any client address. Set it to the reverse "
    "proxies alone, such as 10.0.0.5 or 10.0.0.0/8.": _is_too_wide(TRUSTED_PROXIES),
    "COOKIE_SECURE=false sends the cookies of logins over http, too. Remove it.": not COOKIE_SECURE
    and env.is_usable("COOKIE_SECURE"),
    "EMAIL_URL sends no e-mail, and users need links to confirm an address or to set a new password. Set it to a "
    "mail server, such as smtp+tls://user:password@host:587.": (
        not EMAIL_BACKEND.endswith("smtp.EmailBackend") and env.is_usable("EMAIL_URL")
    ),
    "PAYMENT_PROVIDER=mock gives credits away. Set another provider, or leave it empty.": "mock" in PAYMENT_PROVIDERS,
    # Webhooks of a provider that is no longer offered are still accepted, so its keys count, too.
    "The test keys of a payment provider give credits away. Set its live keys.": any(
        TEST_KEYS[name] for name in ("stripe", "yookassa")
    ),
    "ZENZEFI_TARGET_URL is empty. Set it to the URL of the upstream.": not ZENZEFI_TARGET_URL
    and env.is_usable("ZENZEFI_TARGET_URL"),
}
for _sentence, _found in _PROBLEMS.items():
    if PRODUCTION and _found:
        problems.add(f"ENVIRONMENT=production: {_sentence}")
