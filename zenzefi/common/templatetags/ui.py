"""The components of the site: `{% load ui %}`. docs/site.md shows each with an example."""

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
    """`18.00 ZNC`; a debit has a real minus sign. The space does not break."""
    return f"{amount:.2f}\u00a0ZNC".replace("-", "−")


@register.filter
def signed_money(amount: Decimal) -> str:
    """`+18.00 ZNC` or `−18.00 ZNC`, for movements of a balance."""
    return f"+{money(amount)}" if amount > 0 else money(amount)


@register.filter
def zone_name(moment: datetime) -> str:
    """`UTC`, `MSK`, or `UTC+5` where the zone has no letters of its own."""
    name = timezone.localtime(moment).strftime("%Z")
    if name[:1] not in "+-":
        return name
    hours, minutes = name[:3], name[3:]
    return f"UTC{hours[0].replace('-', '−')}{int(hours[1:])}" + (f":{minutes}" if minutes else "")


@register.filter
def moment(value: datetime) -> SafeString:
    """A time in the user's zone, with the zone's name on the same line; machines read UTC from `datetime`."""
    local = timezone.localtime(value)
    date = date_format(local, "DATE_FORMAT").replace(" г.", "\u00a0г.")  # no line begins with the Russian "year"
    text = f"{date}, {date_format(local, 'H:i')}\u00a0{zone_name(local)}"
    return format_html('<time datetime="{}">{}</time>', iso_time(value, "seconds"), text)


def _units() -> tuple[str, str, str, str]:
    # Translators: short for days, hours, minutes, seconds, after a number
    return _("d"), _("h"), _("min"), _("s")


@register.filter
def duration(value: timedelta | float) -> str:
    """Seconds or a timedelta in its two largest units: `2 d 3 h`, `4 min 10 s`, `0 s`."""
    seconds = max(0, int(value.total_seconds() if isinstance(value, timedelta) else value))
    counts = (seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    parts = list(zip(counts, _units(), strict=True))
    first = next((index for index, count in enumerate(counts) if count), 3)
    shown = [part for part in parts[first : first + 2] if part[0]] or parts[3:]
    return " ".join(f"{count}\u00a0{unit}" for count, unit in shown)


@register.filter
def hours(count: int) -> str:
    """The time of a tariff or a token in words: `1 hour`, `12 hours`, `7 days`, `7 days 1 hour`."""
    days, left = divmod(count, 24)
    words = [ngettext("%(count)d day", "%(count)d days", days) % {"count": days}] if days else []
    if left or not days:
        words.append(ngettext("%(count)d hour", "%(count)d hours", left) % {"count": left})
    return " ".join(words)


@register.filter
def unbroken(text: str) -> str:
    """The text with no line break after an ellipsis: `…41` stays whole."""
    return text.replace("…", "…\u2060")


@register.inclusion_tag("components/time_left.html")
def time_left(start: datetime, end: datetime, label: str = "") -> dict[str, Any]:
    """A bar and a text that tick in the browser; right when the page was made, without a script."""
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
    """A decorative icon of static/vendor/bootstrap-icons; the words beside it carry the meaning."""
    return {"name": name}


@register.inclusion_tag("components/tag.html")
def tag(kind: str, text: str, icon: str = "") -> dict[str, str]:
    """A small label with an icon: `good`, `warn`, `bad`, `info` or `plain`."""
    return {"kind": kind, "text": text, "icon": icon or _TAGS[kind]}


@register.inclusion_tag("components/alert.html")
def alert(kind: str, text: str, url: str = "", action: str = "") -> dict[str, str]:
    """A notice: `success`, `info`, `warning` or `error`, as `messages` has them; with a link to what helps."""
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
    """The page's only h1, a sentence below it, a way back above it, and the page's first action beside it."""
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
    """One figure with its name."""
    return {"label": label, "value": value, "note": note}


@register.inclusion_tag("components/empty_state.html")
def empty_state(title: str, text: str, url: str = "", action: str = "", icon: str = "inbox") -> dict[str, str]:
    """What stands where a list would, and the button that fills it."""
    return {"title": title, "text": text, "url": url, "action": action, "icon": icon}


@register.inclusion_tag("components/copy_button.html")
def copy_button(element_id: str, label: str = "") -> dict[str, str]:
    """Copies the text or value of the element with this id; not shown without a script."""
    return {"element_id": element_id, "label": label or _("Copy")}


@register.inclusion_tag("components/pagination.html", takes_context=True)
def pagination(context: Context, page: Page[Any]) -> dict[str, Any]:
    """Previous and next of a paginated list; the other query parameters are kept."""
    query = context["request"].GET.copy()
    query.pop("page", None)
    return {"page": page, "query": query.urlencode()}


@register.filter
def is_checkbox(field: BoundField) -> bool:
    """Whether the field is a tick box, whose label stands after it."""
    return isinstance(field.field.widget, CheckboxInput)


@register.filter
def is_radio_group(field: BoundField) -> bool:
    """Whether the field is several inputs with one legend."""
    return isinstance(field.field.widget, RadioSelect)


@register.filter
def control(field: BoundField) -> SafeString:
    """The field's widget in the site's look."""
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
    """Marks a link of the navigation as the one of this page, or of the section that it is in."""
    request = context.get("request")
    path = f"{request.path}/" if request else ""
    return SafeString(' aria-current="page"' if path.startswith(f"{url.rstrip('/')}/") else "")
