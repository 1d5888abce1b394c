"""The checkout page of the mock provider."""

from uuid import UUID

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from billing.models import MockCheckout, PaymentStatus
from billing.providers import mock
from zenzefi.common.currencies import format_amount

OUTCOMES = {
    "pay": PaymentStatus.SUCCEEDED,
    "decline": PaymentStatus.FAILED,
    "cancel": PaymentStatus.CANCELLED,
}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def mock_checkout(request: HttpRequest, checkout_id: UUID) -> HttpResponse:
    """Show the checkout, or finish it by the pressed button. Anyone with the link may pay.

    A finished checkout redirects to the return page.
    """
    if mock.MockProvider.name not in settings.PAYMENT_PROVIDERS:
        raise Http404
    checkout = get_object_or_404(MockCheckout, pk=checkout_id)
    if request.method == "POST":
        action = request.POST.get("action", "")
        if action not in OUTCOMES:
            raise BadRequest("unknown action")
        mock.finish_checkout(checkout, OUTCOMES[action])
    elif checkout.status == PaymentStatus.PENDING:
        return render(
            request, "billing/mock_checkout.html", {"price": format_amount(checkout.amount, checkout.currency)}
        )
    return HttpResponseRedirect(reverse("payment-return", args=[checkout.payment_id]))
