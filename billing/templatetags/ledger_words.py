"""`{% load ledger_words %}`: what the ledger keeps, in the reader's words and language."""

import re

from django import template
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_noop as _

register = template.Library()

# What the services write before a colon, or alone; operators' reasons and titles of their own are left as they are.
HEADS = {
    "Top-up through mock": _("Top-up, test payment"),
    "Top-up through stripe": _("Top-up through Stripe"),
    "Top-up through yookassa": _("Top-up through YooKassa"),
    **{
        head: head
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
    """A description of the ledger, `Access token: 24 hours, full access` as `Access token: 1 day, full access`."""
    head, colon, tail = description.partition(": ")
    if head not in HEADS:
        return description
    return gettext(HEADS[head]) + colon + (in_words(tail) if tail.partition(": ")[0] in HEADS else _details(tail))


def _details(text: str) -> str:
    return ", ".join(_detail(part) for part in text.split(", "))


def _detail(part: str) -> str:
    if time := _TIME.fullmatch(part):
        hours = int(time[1]) * (24 if time[2].startswith("d") else 1)
        if hours % 24:
            return ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
        return ngettext("%(count)d day", "%(count)d days", hours // 24) % {"count": hours // 24}
    if payment := _PAYMENT.fullmatch(part):
        return gettext("%(provider)s payment %(number)s") % {"provider": payment[1], "number": payment[2]}
    return gettext(_SCOPES[part]) if part in _SCOPES else part
