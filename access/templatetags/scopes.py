"""`{% load scopes %}`: the scope of a token or tariff in words."""

from django import template
from django.utils.translation import gettext as _

from access.models import Scope

register = template.Library()


@register.filter
def scope_explained(scope: str) -> str:
    """Return a sentence that says what a token of this scope opens."""
    if scope == Scope.CERTIFICATES_ONLY:
        return _("Opens the certificate store of the server (/certificates) and nothing else.")
    return _("Opens the whole server: pages, API, downloads, live connections and certificates.")
