"""The checkout page of the mock provider."""

from uuid import UUID

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from billing import webhooks
from billing.models import Payment, PaymentStatus
from billing.providers import mock

PROVIDER = mock.MockProvider.name
EVENTS = {"pay": "payment.succeeded", "decline": "payment.failed", "cancel": "payment.cancelled"}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def mock_checkout(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Shows a payment and, while it is pending, what the user can do. Whoever has the link may pay."""
    if settings.PAYMENT_PROVIDER != PROVIDER:
        raise Http404
    payment = get_object_or_404(Payment, pk=payment_id, provider=PROVIDER)
    if request.method == "POST":
        return _press(payment, request.POST.get("action", ""))
    return render(request, "billing/mock_checkout.html", {"payment": payment, "Status": PaymentStatus})


def _press(payment: Payment, action: str) -> HttpResponse:
    """Does what a provider does: sends its webhook; the page is then shown again, with the outcome."""
    if action not in EVENTS:
        raise BadRequest("unknown action")
    body = mock.event_body(payment, EVENTS[action])
    webhooks.receive(PROVIDER, mock.signed(body), body)
    return redirect("mock-checkout", payment_id=payment.pk)
