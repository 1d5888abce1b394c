"""The admin page for refunding a payment: enter the amount, see the effect, confirm."""

import uuid
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views import View
from rest_framework.exceptions import APIException, ValidationError

from accounts.requests import current_user
from billing import payment_refunds
from billing.models import Payment, PaymentRefund


class RefundForm(forms.Form):
    """The amount and the reason of a refund. `key` makes a second click the same refund."""

    amount = forms.DecimalField(label=_("Amount"), max_digits=18, decimal_places=2)
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=forms.Textarea(attrs={"rows": 3}))
    key = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, payment: Payment, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.payment = payment
        self.fields["amount"].help_text = payment.provider_currency

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if "amount" in data and "reason" in data:
            try:
                payment_refunds.check(self.payment, data["amount"], data["reason"])
            except ValidationError as error:
                for field, texts in cast("dict[str, Any]", error.detail).items():
                    self.add_error(field, [str(text) for text in texts])
        return data


class RefundView(View):
    model_admin: Any = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.has_perm("billing.refund_payment"):
            raise PermissionDenied
        return cast("HttpResponse", super().dispatch(request, *args, **kwargs))

    def get(self, request: HttpRequest, payment_id: uuid.UUID) -> HttpResponse:
        payment = _payment(payment_id)
        left = payment.provider_amount - payment.provider_refunded
        return self._render(request, payment, RefundForm(payment, initial={"amount": left, "key": uuid.uuid4()}))

    def post(self, request: HttpRequest, payment_id: uuid.UUID) -> HttpResponse:
        payment = _payment(payment_id)
        form = RefundForm(payment, request.POST)
        repeated = payment_refunds.find(payment, request.POST.get("key", ""))
        if repeated and form.fields["amount"].has_changed(repeated.amount, request.POST.get("amount", "")):
            return self._reject_reused_form(request, payment)
        if repeated:
            return self._show_outcome(request, repeated)
        if not form.is_valid() or "confirmed" not in request.POST:
            return self._render(request, payment, form)
        data = form.cleaned_data
        actor = current_user(request)
        try:
            refund = payment_refunds.start(
                payment.pk, data["amount"], actor=actor, reason=data["reason"], key=str(data["key"])
            )
        except APIException as error:
            form.add_error(None, str(error.detail))
            return self._render(request, payment, form)
        return self._show_outcome(request, refund)

    def _render(self, request: HttpRequest, payment: Payment, form: RefundForm) -> HttpResponse:
        context = {
            **admin.site.each_context(request),
            "title": _("Refund a payment"),
            "opts": Payment._meta,  # noqa: SLF001  (Django's own name for it)
            "payment": payment,
            "form": form,
            "preview": _preview(payment, form),
        }
        return TemplateResponse(request, "admin/billing/payment/refund.html", context)

    def _reject_reused_form(self, request: HttpRequest, payment: Payment) -> HttpResponse:
        """Redirect to a new form, because this one was already sent with a different amount."""
        text = _(
            "This form was already sent with a different amount. Nothing was refunded this time. "
            "Check the payment, then start again."
        )
        self.model_admin.message_user(request, text, messages.ERROR)
        return HttpResponseRedirect(reverse("admin:billing_payment_refund", args=[payment.pk]))

    def _show_outcome(self, request: HttpRequest, refund: PaymentRefund) -> HttpResponse:
        level, text = _OUTCOMES[PaymentRefund.Status(refund.status)]
        self.model_admin.message_user(request, text % {"answer": refund.answer}, level)
        return HttpResponseRedirect(reverse("admin:billing_payment_change", args=[refund.payment_id]))


_OUTCOMES = {
    PaymentRefund.Status.REQUESTED: (
        messages.WARNING,
        _("The provider is not responding. The refund is saved and will be retried automatically."),
    ),
    PaymentRefund.Status.ACCEPTED: (
        messages.SUCCESS,
        _("The provider has accepted the refund. The credits will be taken back when the money has been returned."),
    ),
    PaymentRefund.Status.DONE: (
        messages.SUCCESS,
        _("The money has been returned, and the credits have been taken back."),
    ),
    PaymentRefund.Status.REFUSED: (messages.ERROR, _("The provider declined the refund: %(answer)s")),
}


def _payment(payment_id: uuid.UUID) -> Payment:
    return get_object_or_404(Payment.objects.select_related("user"), pk=payment_id)


def _preview(payment: Payment, form: RefundForm) -> payment_refunds.Effect | None:
    if not (form.is_bound and form.is_valid()):
        return None
    return payment_refunds.preview(payment, form.cleaned_data["amount"])
