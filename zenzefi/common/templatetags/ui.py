"""`{% load ui %}`: the components of the site's pages. docs/site.md has an example of each."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.core.paginator import Page
from django.forms import BoundField, CheckboxInput, RadioSelect, Select
from django.template.context import Context
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from zenzefi.common.iso_times import iso_time

register = template.Library()

_TAGS = {
    "good": "check-circle-fill",
    "warn": "exclamation-triangle-fill",
    "bad": "x-circle-fill",
    "info": "info-circle-fill",
    "plain": "dash-circle-fill",
}
_ALERTS = {"success": "good", "warning": "warn", "error": "bad"}


@register.filter
def money(amount: Decimal) -> str:
    """Return `18.00 ZNC` with a no-break space; a negative amount has a minus sign instead of a hyphen."""
    return f"{amount:.2f}\u00a0ZNC".replace("-", "−")


@register.filter
def signed_money(amount: Decimal) -> str:
    """Return `+18.00 ZNC` or `−18.00 ZNC`, for movements of a balance."""
    return f"+{money(amount)}" if amount > 0 else money(amount)


@register.filter
def zone_name(moment: datetime) -> str:
    """Return the abbreviation of the user's time zone, such as `MSK`, or `UTC+5` if the zone has none."""
    name = timezone.localtime(moment).strftime("%Z")
    if name[:1] not in "+-":
        return name
    hours, minutes = name[:3], name[3:]
    return f"UTC{hours[0].replace('-', '−')}{int(hours[1:])}" + (f":{minutes}" if minutes else "")


@register.filter
def moment(value: datetime) -> SafeString:
    """Return a `<time>` element: the time in the user's zone with the zone's name, and UTC in its `datetime`."""
    local = timezone.localtime(value)
    # A no-break space, so that no line starts with the Russian abbreviation of "year".
    date = date_format(local, "DATE_FORMAT").replace(" г.", "\u00a0г.")
    text = f"{date}, {date_format(local, 'H:i')}\u00a0{zone_name(local)}"
    return format_html('<time datetime="{}">{}</time>', iso_time(value, "seconds"), text)


def _units() -> tuple[str, str, str, str]:
    # Translators: short for days, hours, minutes, seconds, after a number
    return _("d"), _("h"), _("min"), _("s")


@register.filter
def duration(value: timedelta | float) -> str:
    """Return seconds or a timedelta in its two largest units: `2 d 3 h`, `4 min 10 s`, `0 s`."""
    seconds = max(0, int(value.total_seconds() if isinstance(value, timedelta) else value))
    counts = (seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    parts = list(zip(counts, _units(), strict=True))
    first = next((index for index, count in enumerate(counts) if count), 3)
    shown = [part for part in parts[first : first + 2] if part[0]] or parts[3:]
    return " ".join(f"{count}\u00a0{unit}" for count, unit in shown)


@register.filter
def hours(count: int) -> str:
    """Return a number of hours in words: `1 hour`, `12 hours`, `7 days`, `7 days 1 hour`."""
    days, left = divmod(count, 24)
    words = [ngettext("%(count)d day", "%(count)d days", days) % {"count": days}] if days else []
    if left or not days:
        words.append(ngettext("%(count)d hour", "%(count)d hours", left) % {"count": left})
    return " ".join(words)


@register.filter
def unbroken(text: str) -> str:
    """Return the text without line breaks after an ellipsis: `…41` stays on one line."""
    return text.replace("…", "…\u2060")


@register.inclusion_tag("components/time_left.html")
def time_left(start: datetime, end: datetime, label: str = "") -> dict[str, Any]:
    """Show a progress bar and the time left; a script updates both every second."""
    left = max(0, (end - timezone.now()).total_seconds())
    return {
        "label": label or _("Time left"),
        "total": max(1, int((end - start).total_seconds())),
        "left": int(left),
        "ends": iso_time(end, "seconds"),
        "units": ",".join(_units()),
    }


@register.inclusion_tag("components/icon.html")
def icon(name: str) -> dict[str, str]:
    """Show an icon of static/vendor/bootstrap-icons. It is decorative: the text next to it has the meaning."""
    return {"name": name}


@register.inclusion_tag("components/tag.html")
def tag(kind: str, text: str, icon: str = "") -> dict[str, str]:
    """Show a small label with an icon; `kind` is `good`, `warn`, `bad`, `info` or `plain`."""
    return {"kind": kind, "text": text, "icon": icon or _TAGS[kind]}


@register.inclusion_tag("components/alert.html")
def alert(kind: str, text: str, url: str = "", action: str = "") -> dict[str, str]:
    """Show a notice with a link to the next step; `kind` is a level of Django's messages, such as `success`."""
    kind = _ALERTS.get(kind, "info")
    return {"kind": {"good": "success", "warn": "warning", "bad": "danger"}.get(kind, "info"), "text": text} | {
        "icon": _TAGS[kind],
        "role": "alert" if kind == "bad" else "status",
        "url": url,
        "action": action,
    }


@register.inclusion_tag("components/page_header.html")
def page_header(
    title: str, lead: str = "", back_url: str = "", back_label: str = "", url: str = "", action: str = ""
) -> dict[str, str]:
    """Show the only h1 of the page, a link back above it, a lead below it and the main action of the page."""
    return {
        "title": title,
        "lead": lead,
        "back_url": back_url,
        "back_label": back_label,
        "url": url,
        "action": action,
    }


@register.inclusion_tag("components/stat.html")
def stat(label: str, value: Any, note: str = "") -> dict[str, Any]:
    """Show a figure with its name."""
    return {"label": label, "value": value, "note": note}


@register.inclusion_tag("components/empty_state.html")
def empty_state(title: str, text: str, url: str = "", action: str = "", icon: str = "inbox") -> dict[str, str]:
    """Show a text in place of an empty list, with a button for adding the first item."""
    return {"title": title, "text": text, "url": url, "action": action, "icon": icon}


@register.inclusion_tag("components/copy_button.html")
def copy_button(element_id: str, label: str = "") -> dict[str, str]:
    """Show a button that copies the text or value of an element; it needs a script and is hidden without one."""
    return {"element_id": element_id, "label": label or _("Copy")}


@register.inclusion_tag("components/pagination.html", takes_context=True)
def pagination(context: Context, page: Page[Any]) -> dict[str, Any]:
    """Show links to the previous and the next page of a list, which keep the other query parameters."""
    query = context["request"].GET.copy()
    query.pop("page", None)
    return {"page": page, "query": query.urlencode()}


@register.filter
def is_checkbox(field: BoundField) -> bool:
    """Return whether the field is a checkbox, which comes before its label."""
    return isinstance(field.field.widget, CheckboxInput)


@register.filter
def is_radio_group(field: BoundField) -> bool:
    """Return whether the field is a group of radio buttons with one legend."""
    return isinstance(field.field.widget, RadioSelect)


@register.filter
def control(field: BoundField) -> SafeString:
    """Return the field's widget with the classes of the style sheet."""
    widget = field.field.widget
    if isinstance(widget, CheckboxInput | RadioSelect):
        look = "form-check-input"
    else:
        look = "form-select" if isinstance(widget, Select) else "form-control"
    given = widget.attrs.get("class", "")
    invalid = " is-invalid" if field.errors else ""
    return field.as_widget(attrs={"class": f"{look}{invalid} {given}".strip()})


@register.simple_tag(takes_context=True)
def aria_current(context: Context, url: str) -> SafeString:
    """Return `aria-current` for a link to this page or to the section that contains it."""
    request = context.get("request")
    path = f"{request.path}/" if request else ""
    return SafeString(' aria-current="page"' if path.startswith(f"{url.rstrip('/')}/") else "")
