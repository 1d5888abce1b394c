"""The page about one denial, and the list of the user's denials."""

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.requests import current_user
from proxy.dataplane.denials.messages import AGAIN, explain
from proxy.models import LONGEST_PATH, DenialRecord
from proxy.selectors import denials_of, find_denial

# A denial is written within a few seconds. A page that is opened earlier looks it up again this many times.
LOOKUPS = 5
PER_PAGE = 20


@never_cache
@require_safe
def denied(request: HttpRequest, request_id: str) -> HttpResponse:
    """Show a denial: to its owner with the details, to others only what the code means."""
    user = request.user if request.user.is_authenticated else None
    record = find_denial(request_id, user)
    if record is None:
        return _unknown_denial(request, request_id)
    own = user is not None and record.user_id == user.pk
    # The time to wait has passed by now.
    known = {name: value for name, value in record.detail.items() if name != "retry_after"} if own else {}
    explanation = explain(record.code, known, record.token_id if own else None)
    url = _denied_path(record, own) if explanation.url == AGAIN else explanation.url
    context = {"record": record, "own": own, "explanation": explanation, "url": url}
    return render(request, "proxy/denial.html", context)


def _denied_path(record: DenialRecord, own: bool) -> str:
    """Return the denied path if the record has all of it, else an empty string. The query is never recorded."""
    return record.path if own and record.path.isascii() and len(record.path) < LONGEST_PATH else ""


def _unknown_denial(request: HttpRequest, request_id: str) -> HttpResponse:
    text = request.GET.get("lookups", "0")
    lookups = int(text) if text.isdecimal() and len(text) < 3 else 0
    gone = lookups >= LOOKUPS
    # htmx does not show the body of an error response.
    status = 404 if gone and "HX-Request" not in request.headers else 200
    context = {"request_id": request_id, "gone": gone, "lookups": lookups + 1}
    return render(request, "proxy/denial_unknown.html", context, status=status)


@never_cache
@login_required
@require_safe
def denials(request: HttpRequest) -> HttpResponse:
    """Show the user's denials of the last week."""
    page = Paginator(denials_of(current_user(request)), PER_PAGE).get_page(request.GET.get("page"))
    rows = [(record, explain(record.code, record.detail).sentence) for record in page]
    return render(request, "proxy/denials.html", {"page": page, "rows": rows})
