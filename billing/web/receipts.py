"""The page of a receipt, made to be printed."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing import receipts, selectors
from billing.providers import LABELS


@never_cache
@require_safe
def receipt(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Show a receipt to the payment's user, to operators, and to visitors with a valid link of the API.

    Raises 404 for all others.
    """
    payment = get_object_or_404(selectors.credited_payments(), pk=payment_id)
    own = request.user == payment.user or request.user.has_perm("billing.view_payment")
    if not own and not receipts.is_valid_key(payment, request.GET.get("key", "")):
        raise Http404
    return render(request, "billing/receipt.html", {"payment": payment, "provider": LABELS[payment.provider]})
