"""TLS to the upstream, for the data plane and for the health check alike."""

import ssl

from django.conf import settings


def upstream_tls() -> ssl.SSLContext | None:
    """How the upstream's certificate is checked, and which one it is shown; None where it is reached without TLS."""
    if not settings.ZENZEFI_TARGET_URL.startswith("https:"):
        return None
    context = ssl.create_default_context(cafile=settings.ZENZEFI_CA_FILE or None)
    if not settings.ZENZEFI_VERIFY_TLS:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.ZENZEFI_CLIENT_CERT:
        context.load_cert_chain(settings.ZENZEFI_CLIENT_CERT, settings.ZENZEFI_CLIENT_KEY or None)
    return context
