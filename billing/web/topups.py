"""The page on which a user tops up the balance."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import APIException, ValidationError

from accounts.models import User
from accounts.requests import current_user
from billing import ledger, topups
from billing.errors import IdempotencyConflict
from billing.models import Payment
from billing.web import way_back
from billing.web.forms import TopUpForm
from zenzefi.common.currencies import format_amount, price_of
from zenzefi.common.error_messages import error_message
from zenzefi.common.hundredths import CENT

PRESETS = [Decimal(amount) for amount in (10, 20, 50, 100, 300)]


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def topup(request: HttpRequest) -> HttpResponse:
    """Show the form, and create the payment when it is sent.

    `?amount=` fills in the amount. `?next=` is a path of this site, linked from the page shown after the payment.
    """
    user, path_back = current_user(request), way_back.requested(request)
    form = TopUpForm(request.POST) if request.method == "POST" else TopUpForm(initial=_requested_amount(request))
    if form.is_valid() and (payment := _create_payment(form, user)):
        if path_back:
            way_back.remember(request, payment, path_back)
        return HttpResponseRedirect(payment.payment_url)
    balance, debt = ledger.balance_and_debt(user)
    context = {
        "form": form,
        "offered": settings.PAYMENT_PROVIDERS,
        "presets": [(amount, _price(amount)) for amount in PRESETS if amount <= settings.MAX_DEPOSIT],
        "rate": _price(Decimal(1)),
        "priced": settings.PAYMENT_CURRENCY,
        "balance": balance,
        "debt": debt,
        "way_back": path_back,
    }
    return render(request, "billing/topup.html", context, status=400 if form.errors else 200)


def _requested_amount(request: HttpRequest) -> dict[str, Any]:
    try:
        wanted = Decimal(request.GET.get("amount", ""))
    except InvalidOperation:
        return {}
    fits = wanted.is_finite() and CENT <= wanted <= settings.MAX_DEPOSIT
    return {"amount": wanted.quantize(CENT)} if fits else {}


def _price(amount: Decimal) -> str:
    currency = settings.PAYMENT_CURRENCY
    return format_amount(price_of(amount, settings.ZNC_PRICE, currency), currency)


def _create_payment(form: TopUpForm, user: User) -> Payment | None:
    """Create the payment. If that fails, add the reason to the form and return None."""
    data = form.cleaned_data
    call = form.call(user, "currency/purchase")
    try:
        return topups.create_payment(call, data["amount"], provider=data["provider"])
    except ValidationError as error:
        form.add_error("amount", error_message(error))
    except IdempotencyConflict as error:
        form.renew_key()
        form.add_error(None, error_message(error))
    except APIException as error:
        form.add_error(None, error_message(error))
    return None
