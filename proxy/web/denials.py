"""Why was I denied? One refusal in a sentence, and the list of one's own."""

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

# A refusal is written within a few seconds; so often a page asks that was opened at once.
ASKS = 5
ON_PAGE = 20


@never_cache
@require_safe
def denied(request: HttpRequest, request_id: str) -> HttpResponse:
    """Its owner sees what is known of it, everybody else what the code means."""
    user = request.user if request.user.is_authenticated else None
    record = find_denial(request_id, user)
    if record is None:
        return _not_known_yet(request, request_id)
    own = user is not None and record.user_id == user.pk
    # How long to wait was said at its time.
    known = {name: value for name, value in record.detail.items() if name != "retry_after"} if own else {}
    explanation = explain(record.code, known, record.token_id if own else None)
    url = _again(record, own) if explanation.url == AGAIN else explanation.url
    context = {"record": record, "own": own, "explanation": explanation, "url": url}
    return render(request, "proxy/denial.html", context)


def _again(record: DenialRecord, own: bool) -> str:
    """The path that was refused, where all of it is known; its query is not."""
    return record.path if own and record.path.isascii() and len(record.path) < LONGEST_PATH else ""


def _not_known_yet(request: HttpRequest, request_id: str) -> HttpResponse:
    text = request.GET.get("asked", "0")
    asked = int(text) if text.isdecimal() and len(text) < 3 else 0
    gone = asked >= ASKS
    # htmx shows no answer that is an error.
    status = 404 if gone and "HX-Request" not in request.headers else 200
    context = {"request_id": request_id, "gone": gone, "asks": asked + 1}
    return render(request, "proxy/denial_unknown.html", context, status=status)


@never_cache
@login_required
@require_safe
def denials(request: HttpRequest) -> HttpResponse:
    """The user's own refusals of the last week."""
    page = Paginator(denials_of(current_user(request)), ON_PAGE).get_page(request.GET.get("page"))
    rows = [(record, explain(record.code, record.detail).sentence) for record in page]
    return render(request, "proxy/denials.html", {"page": page, "rows": rows})
