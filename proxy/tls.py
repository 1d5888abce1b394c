"""TLS settings of the connections to the upstream, for the data plane and the health check."""

import ssl

from django.conf import settings


def upstream_tls() -> ssl.SSLContext | None:
    """Return the TLS context with the trusted and the client's certificate, or None if the upstream uses no TLS."""
    if not settings.ZENZEFI_TARGET_URL.startswith("https:"):
        return None
    context = ssl.create_default_context(cafile=settings.ZENZEFI_CA_FILE or None)
    if not settings.ZENZEFI_VERIFY_TLS:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.ZENZEFI_CLIENT_CERT:
        context.load_cert_chain(settings.ZENZEFI_CLIENT_CERT, settings.ZENZEFI_CLIENT_KEY or None)
    return context
