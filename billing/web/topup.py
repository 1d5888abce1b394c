"""Top up: choose an amount, pay at the provider, and come back to a page that waits for its answer."""

from decimal import Decimal, InvalidOperation
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from rest_framework.exceptions import APIException, ValidationError
from zenzefi.common.currencies import price_of, shown

from accounts.models import User
from billing import ledger, payments, services
from billing.errors import IdempotencyConflict
from billing.fields import CENT
from billing.models import Payment, PaymentStatus
from billing.web.forms import TopUpForm
from zenzefi.common.currencies import price_of, shown
from zenzefi.common.error_messages import sentence

PRESETS = [Decimal(amount) for amount in (10, 20, 50, 100, 300)]
# Where the user was when credits were missing, by payment; of the last few payments.
_WAYS_BACK = "billing_ways_back"
_WAYS_BACK_KEPT = 5


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def topup(request: HttpRequest) -> HttpResponse:
    """`?amount=` fills it in; `?next=`, a path of this site, is offered once the payment is through."""
    user, way_back = cast("User", request.user), _own_path(request, request.GET.get("next", ""))
    form = TopUpForm(request.POST) if request.method == "POST" else TopUpForm(initial=_wanted(request))
    if form.is_valid() and (payment := _begun(form, user)):
        if way_back:
            _remember(request, payment, way_back)
        return HttpResponseRedirect(payment.payment_url)
    balance, debt = ledger.standing(user)
    context = {
        "form": form,
        "offered": settings.PAYMENT_PROVIDERS,
        "presets": [(amount, _price(amount)) for amount in PRESETS if amount <= settings.MAX_DEPOSIT],
        "rate": _price(Decimal(1)),
        "priced": settings.PAYMENT_CURRENCY,
        "balance": balance,
        "debt": debt,
        "way_back": way_back,
    }
    return render(request, "billing/topup.html", context, status=400 if form.errors else 200)


def _wanted(request: HttpRequest) -> dict[str, Any]:
    try:
        wanted = Decimal(request.GET.get("amount", ""))
    except InvalidOperation:
        return {}
    fits = wanted.is_finite() and CENT <= wanted <= settings.MAX_DEPOSIT
    return {"amount": wanted.quantize(CENT)} if fits else {}


def _price(amount: Decimal) -> str:
    currency = settings.PAYMENT_CURRENCY
    return shown(price_of(amount, settings.ZNC_PRICE, currency), currency)


def _begun(form: TopUpForm, user: User) -> Payment | None:
    """The payment, or None where the form says why there is none."""
    given = form.cleaned_data
    call = form.call(user, "currency/purchase")
    try:
        return services.create_payment(call, given["amount"], provider=given["provider"])
    except ValidationError as refused:
        form.add_error("amount", sentence(refused))
    except IdempotencyConflict as refused:
        form.renew_key()
        form.add_error(None, sentence(refused))
    except APIException as refused:
        form.add_error(None, sentence(refused))
    return None


def _own_path(request: HttpRequest, path: str) -> str:
    """The path if it leads to this site, else nothing."""
    safe = path.startswith("/") and url_has_allowed_host_and_scheme(path, {request.get_host()})
    return path if safe else ""


def _remember(request: HttpRequest, payment: Payment, way_back: str) -> None:
    kept = {**request.session.get(_WAYS_BACK, {}), str(payment.pk): way_back}
    request.session[_WAYS_BACK] = dict(list(kept.items())[-_WAYS_BACK_KEPT:])


@never_cache
@require_safe
def payment_return(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Shows what has become of a payment; it never credits. Whoever has the link may look: it names nobody.

    While the payment is underway, the page asks again for its changing part, `?part`.
    """
    payment = get_object_or_404(Payment, pk=payment_id)
    own = request.user.pk == payment.user_id
    context = {
        "payment": payment,
        "Status": PaymentStatus,
        "underway": payment.status in payments.OPEN,
        "own": own,
        "way_back": request.session.get(_WAYS_BACK, {}).get(str(payment.pk), "") if own else "",
    }
    template = "billing/payment_state.html" if "part" in request.GET else "billing/payment_return.html"
    return render(request, template, context)
