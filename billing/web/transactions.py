"""The page of a user's transactions, and their statement as a file."""

from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from billing import selectors
from billing.statement_csv import csv_response
from billing.statements import statement
from billing.web.forms import HistoryForm, StatementForm

PER_PAGE = 20


@never_cache
@login_required
@require_safe
def transaction_list(request: HttpRequest) -> HttpResponse:
    return _render(request, HistoryForm(request.GET))


def _render(request: HttpRequest, form: HistoryForm) -> HttpResponse:
    """The movements that the form asks for; where it is wrong, all of them below its errors."""
    user = cast("User", request.user)
    page = Paginator(_filtered(user, form), PER_PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "filtered": any(form.data.get(name) for name in form.fields)}
    return render(request, "billing/transactions.html", context, status=200 if form.is_valid() else 400)


def _filtered(user: User, form: HistoryForm) -> Any:
    if not form.is_valid():
        return _movements(user)
    since, until = form.instants()
    found = _movements(user, form.cleaned_data["type"])
    return found.filter(transaction__created_at__gte=since, transaction__created_at__lt=until)


def _movements(user: User, transaction_type: str = "") -> Any:
    """With their payments, whose receipts are linked."""
    return selectors.history(user, transaction_type).select_related("transaction__payment")


@never_cache
@login_required
@require_safe
def statement_csv(request: HttpRequest) -> HttpResponseBase:
    """The statement of the period as a file; a wrong period is said on the page of the transactions."""
    form = StatementForm(request.GET)
    if not form.is_valid():
        return _render(request, form)
    since, until = form.instants()
    with statement(cast("User", request.user), since, until) as found:
        return csv_response(found)
