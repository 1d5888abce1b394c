"""The page that sells tokens: scope, duration, price, and the top-up if the balance is too low."""

from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import APIException

from access import selectors, services
from access.models import AccessToken, Scope
from access.offers import Offer, choose_offer, offers
from access.web import recent_purchases
from access.web.forms import ChoiceQuery, PurchaseForm
from accounts.models import User
from accounts.requests import current_user
from billing import ledger
from billing.errors import IdempotencyConflict, InsufficientBalance
from zenzefi.common.error_messages import error_message

_DEFAULT_HOURS = 24


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def buy(request: HttpRequest) -> HttpResponse:
    """Show the offers or sell a token. `?scope=&duration_hours=` preselects, so a top-up can return to the choice."""
    user, form, status = current_user(request), PurchaseForm(request.POST or None), 200
    if form.is_valid():
        try:
            return _remember_and_redirect(request, _purchase(form, user))
        except InsufficientBalance as error:
            status = error.status_code
        except IdempotencyConflict:
            messages.warning(request, _("Your previous purchase succeeded. Its token is in the list below."))
            return redirect("tokens")
        except APIException as error:
            form.add_error(None, error_message(error))
    choice = _choice(user, ChoiceQuery(request.POST or request.GET).choice())
    back = f"{reverse('token-buy')}?scope={choice.scope}&duration_hours="
    context = {"form": form, "back": back, "short": status == InsufficientBalance.status_code, **vars(choice)}
    return render(request, "access/buy.html", context, status=400 if form.errors else status)


def _purchase(form: PurchaseForm, user: User) -> AccessToken:
    data = form.cleaned_data
    return services.purchase(form.call(user, "tokens/purchase"), data["duration_hours"], data["scope"])


def _remember_and_redirect(request: HttpRequest, token: AccessToken) -> HttpResponse:
    recent_purchases.remember(request, token)
    return redirect("token-bought", token.pk)


@dataclass(frozen=True)
class Choice:
    """The scopes on sale, the offers of the chosen scope, and the chosen offer."""

    scopes: list[Scope]
    scope: Scope
    offers: list[Offer]
    chosen: Offer | None
    balance: Decimal
    debt: Decimal


def _choice(user: User, preselected: dict[str, Any]) -> Choice:
    """Return the choice, with full access as the first scope, as most users want it, and a day as the default."""
    on_sale = {scope: list(rows) for scope, rows in groupby(selectors.tariffs(), lambda tariff: tariff.scope)}
    scopes = sorted(map(Scope, on_sale), key=lambda scope: scope != Scope.FULL)
    scope = Scope(preselected.get("scope", next(iter(scopes), Scope.FULL)))
    balance, debt = ledger.balance_and_debt(user)
    found = offers(on_sale.get(scope, []), balance, debt)
    chosen = choose_offer(found, preselected.get("duration_hours", _DEFAULT_HOURS))
    return Choice(scopes, scope, found, chosen, balance, debt)
