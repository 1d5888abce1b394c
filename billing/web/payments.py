"""A user's payments, and the page to which a provider sends the user back."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.requests import current_user
from billing import payments, selectors
from billing.models import Payment, PaymentStatus
from billing.web import way_back

PER_PAGE = 20


@never_cache
@login_required
@require_safe
def payment_list(request: HttpRequest) -> HttpResponse:
    found = selectors.payments_of(current_user(request))
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "billing/payments.html", {"page": page})


@never_cache
@require_safe
def payment_return(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Show the state of a payment without changing it. Anyone with the link may see it: it contains no personal data.

    While the payment is open, the page reloads its changing part, `?part`.
    """
    payment = get_object_or_404(Payment, pk=payment_id)
    own = request.user.pk == payment.user_id
    context = {
        "payment": payment,
        "Status": PaymentStatus,
        "underway": payment.status in payments.OPEN,
        "own": own,
        "way_back": way_back.recall(request, payment) if own else "",
    }
    template = "billing/payment_state.html" if "part" in request.GET else "billing/payment_return.html"
    return render(request, template, context)
