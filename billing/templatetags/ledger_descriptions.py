"""`{% load ledger_descriptions %}`: descriptions of transactions in the language of the user."""

import re

from django import template
from django.utils.text import format_lazy
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_noop as _

from billing.providers import LABELS
from zenzefi.common.templatetags.ui import hours

register = template.Library()

# The parts of descriptions that the application writes, alone or before a colon. All other text is not translated.
HEADS = {
    **{
        f"Top-up through {name}": format_lazy("{}: {}", gettext_lazy("Top-up"), label)
        for name, label in LABELS.items()
    },
    **{
        head: gettext_lazy(head)
        for head in (
            _("Access token"),
            _("Extension of an access token"),
            _("Refund of an access token"),
            _("Owed"),
            _("Debt paid"),
            _("Debt paid in part"),
            _("Money went back"),
            _("Money came again"),
            _("Demo credits"),
        )
    },
}
_SCOPES = {
    "full": _("full access"),
    "full access": _("full access"),
    "certificates_only": _("certificates only"),
    "certificates only": _("certificates only"),
}
_TIME = re.compile(r"(\d+) (h|hours?|days?)")
_PAYMENT = re.compile(r"(\w+) payment (\d{4}-\d+)")


@register.filter
def in_words(description: str) -> str:
    """Return a stored description in the user's language.

    `Access token: 24 hours, full access` becomes `Access token: 1 day, full access`.
    """
    head, colon, tail = description.partition(": ")
    if head not in HEADS:
        return description
    return str(HEADS[head]) + colon + (in_words(tail) if tail.partition(": ")[0] in HEADS else _details(tail))


def _details(text: str) -> str:
    return ", ".join(_detail(part) for part in text.split(", "))


def _detail(part: str) -> str:
    if time := _TIME.fullmatch(part):
        return hours(int(time[1]) * (24 if time[2].startswith("d") else 1))
    if payment := _PAYMENT.fullmatch(part):
        provider = LABELS.get(payment[1], payment[1])
        return gettext("payment %(number)s (%(provider)s)") % {"number": payment[2], "provider": provider}
    return gettext(_SCOPES[part]) if part in _SCOPES else part
