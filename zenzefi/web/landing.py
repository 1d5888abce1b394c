"""The start page."""

from decimal import Decimal

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from access import selectors
from access.models import Scope
from zenzefi.common.currencies import format_amount, price_of


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Show what is sold and its prices; tariffs for full access come first, as most customers want it."""
    tariffs = sorted(selectors.tariffs(), key=lambda tariff: tariff.scope != Scope.FULL)
    hundred = format_amount(
        price_of(Decimal(100), settings.ZNC_PRICE, settings.PAYMENT_CURRENCY), settings.PAYMENT_CURRENCY
    )
    return render(request, "landing.html", {"tariffs": tariffs, "hundred": hundred})
