"""The checkout page of the mock provider, and receipts."""

from uuid import UUID

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from billing import receipts
from billing.currencies import shown
from billing.models import MockCheckout, Payment, PaymentStatus
from billing.providers import LABELS, mock

OUTCOMES = {
    "pay": PaymentStatus.SUCCEEDED,
    "decline": PaymentStatus.FAILED,
    "cancel": PaymentStatus.CANCELLED,
}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def mock_checkout(request: HttpRequest, checkout_id: UUID) -> HttpResponse:
    """The mock provider's page: whoever has the link may pay. A finished checkout leads back to us."""
    if mock.MockProvider.name not in settings.PAYMENT_PROVIDERS:
        raise Http404
    checkout = get_object_or_404(MockCheckout, pk=checkout_id)
    if request.method == "POST":
        action = request.POST.get("action", "")
        if action not in OUTCOMES:
            raise BadRequest("unknown action")
        mock.press(checkout, OUTCOMES[action])
    elif checkout.status == PaymentStatus.PENDING:
        return render(request, "billing/mock_checkout.html", {"price": shown(checkout.amount, checkout.currency)})
    return HttpResponseRedirect(reverse("payment-return", args=[checkout.payment_id]))


@never_cache
@require_safe
def receipt(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """A receipt to print: for the payment's user, for operators, and by the link of the API; else there is none."""
    credited = Payment.objects.select_related("user", "transaction").filter(transaction__isnull=False)
    payment = get_object_or_404(credited, pk=payment_id)
    own = request.user == payment.user or request.user.has_perm("billing.view_payment")
    if not own and not receipts.opens(payment, request.GET.get("key", "")):
        raise Http404
    return render(request, "billing/receipt.html", {"payment": payment, "provider": LABELS[payment.provider]})
