"""The page of a user's transactions, and their statement as a file."""

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.requests import current_user
from billing import selectors
from billing.models import Entry
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
    """Render the movements that the form selects, or all of them below the errors of an invalid form."""
    movements = _movements(current_user(request), form).select_related("transaction__payment")
    page = Paginator(movements, PER_PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "filtered": any(form.data.get(name) for name in form.fields)}
    return render(request, "billing/transactions.html", context, status=200 if form.is_valid() else 400)


def _movements(user: User, form: HistoryForm) -> QuerySet[Entry]:
    if not form.is_valid():
        return selectors.history(user)
    since, until = form.instants()
    return selectors.history(user, form.cleaned_data["type"], since=since, until=until)


@never_cache
@login_required
@require_safe
def statement_csv(request: HttpRequest) -> HttpResponseBase:
    """Return the statement of the period as a file, or the page of transactions if the period is invalid."""
    form = StatementForm(request.GET)
    if not form.is_valid():
        return _render(request, form)
    since, until = form.instants()
    with statement(current_user(request), since, until) as found:
        return csv_response(found)
