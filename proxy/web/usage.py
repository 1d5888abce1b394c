"""The page about the usage by hour or day and by token, and its CSV download."""

import csv

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.requests import current_user
from proxy.usage import PERIODS, Usage, usage_of


@never_cache
@login_required
@require_safe
def usage_page(request: HttpRequest) -> HttpResponse:
    """Show the usage of `?period=`: `day`, `week` (the default) or `month`, in the user's time zone."""
    return render(request, "proxy/usage.html", {"usage": _usage(request), "periods": PERIODS})


@never_cache
@login_required
@require_safe
def usage_csv(request: HttpRequest) -> HttpResponse:
    """Return the table of the page as CSV (RFC 4180), with times in ISO 8601."""
    found = _usage(request)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="zenzefi-usage-{found.period}.csv"'
    writer = csv.writer(response)
    writer.writerow(["start", "bytes", "requests", "hours"])
    for row in found.series:
        writer.writerow([row.start.isoformat(), row.bytes, row.requests, f"{row.hours:.2f}"])
    return response


def _usage(request: HttpRequest) -> Usage:
    period = request.GET.get("period", "")
    return usage_of(current_user(request), period if period in PERIODS else "week")
