"""Pages of the user's own tokens: list, reveal, extend, revoke, reset the device."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe
from rest_framework.exceptions import APIException

from access import selectors, services, token_secret
from access.errors import TokenNotActive
from access.models import AccessToken
from access.offers import choose_offer, offers
from access.web.forms import ChoiceQuery, ExtensionForm, RevocationForm
from access.web.lookup import get_own_token_or_404
from accounts.requests import current_user
from accounts.web.reauthentication import PasswordForm
from billing import ledger
from billing.errors import InsufficientBalance
from billing.idempotency import Call
from zenzefi.common.error_messages import error_message
from zenzefi.common.htmx_partials import htmx_partial
from zenzefi.common.throttled_forms import with_throttled_status

PER_PAGE = 20


@never_cache
@login_required
@require_safe
def token_list(request: HttpRequest) -> HttpResponse:
    """Show all tokens that have not ended, and those that have ended page by page."""
    user, now = current_user(request), timezone.now()
    ended = Paginator(selectors.ended_tokens_of(user, now), PER_PAGE).get_page(request.GET.get("page"))
    context = {"live": list(selectors.live_tokens_of(user, now)), "ended": ended}
    return render(request, "access/tokens.html", context)


@never_cache
@login_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def reveal(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Ask for the password, and show the secret only in the response to the form."""
    token, form = get_own_token_or_404(request, token_id), PasswordForm(request.POST or None)
    secret = token_secret.decrypt(token.ciphertext) if form.verify(request) else None
    lost = form.is_bound and not form.errors and not secret
    context = {"token": token, "form": form, "secret": secret, "lost": lost}
    return with_throttled_status(render(request, "access/reveal.html", context), form)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def extend(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Show the offers, or extend the token. `?duration_hours=` preselects, so a top-up can return to the choice."""
    token, form, status = get_own_token_or_404(request, token_id), ExtensionForm(request.POST or None), 200
    if selectors.state(token) != selectors.TokenState.ACTIVE:
        return _redirect_with_error(request, token, _("Only an active token can be extended."))
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                return _extend(request, token, form)
            except InsufficientBalance as error:
                status = error.status_code
            except APIException as error:
                return _redirect_with_error(request, token, error_message(error))
    return render(request, "access/extend.html", _extension_context(request, token, form, status), status=status)


def _extend(request: HttpRequest, token: AccessToken, form: ExtensionForm) -> HttpResponse:
    hours = form.cleaned_data["duration_hours"]
    services.extend(form.call(current_user(request), "tokens/extend", token.pk), token.pk, hours)
    messages.success(request, _("The token was extended. Open connections are not interrupted."))
    return redirect("token", token.pk)


def _extension_context(request: HttpRequest, token: AccessToken, form: ExtensionForm, status: int) -> dict[str, Any]:
    balance, debt = ledger.balance_and_debt(token.user)
    on_sale = selectors.tariffs().filter(scope=token.scope)
    found = offers(on_sale, balance, debt, token.expires_at)
    hours = ChoiceQuery(request.POST or request.GET).choice().get("duration_hours", 0)
    return {
        "token": token,
        "form": form,
        "offers": found,
        "chosen": choose_offer(found, hours),
        "back": f"{reverse('token-extend', args=[token.pk])}?duration_hours=",
        "balance": balance,
        "short": status == InsufficientBalance.status_code,
    }


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Show the refund, which decreases with time, and revoke the token once the user confirms."""
    token, form, now = get_own_token_or_404(request, token_id), RevocationForm(request.POST or None), timezone.now()
    if form.is_valid():
        call = form.call(current_user(request), "tokens/revoke", token.pk)
        return _act_and_redirect(request, token, lambda: _revoke(call, token))
    if not selectors.is_active(token, now):
        return _redirect_with_error(request, token, str(TokenNotActive.default_detail))
    context = {
        "token": token,
        "form": form,
        "quote": selectors.refund_quote(token, now),
        "title": _("Revoke the token?"),
        "action": _("Revoke the token"),
        "cancel_url": reverse("token", args=[token.pk]),
    }
    return render(request, "access/revoke.html", context)


def _revoke(call: Call, token: AccessToken) -> str:
    revoked = services.revoke_with_refund(call, token.pk)
    amounts = {"refund": f"{revoked.refund:.2f}", "balance": f"{revoked.balance:.2f}"}
    return _("The token was revoked. You got back %(refund)s ZNC. Your balance is %(balance)s ZNC.") % amounts


@htmx_partial
def refund_quote(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Render the refund quote, the part of the page that is refreshed."""
    token = get_own_token_or_404(request, token_id)
    quote = selectors.refund_quote(token, timezone.now())
    return render(request, "access/refund_quote.html", {"token": token, "quote": quote})


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def reset_device(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Show the consequences and the resets left, and reset the device once the user confirms."""
    token = get_own_token_or_404(request, token_id)
    if request.method == "POST":
        return _act_and_redirect(request, token, lambda: _reset_device(token))
    if not selectors.is_active(token):
        return _redirect_with_error(request, token, str(TokenNotActive.default_detail))
    context = {
        "left": selectors.device_resets_left(token, timezone.now()),
        "title": _("Reset the device?"),
        "action": _("Reset the device"),
        "cancel_url": reverse("token", args=[token.pk]),
    }
    return render(request, "access/reset_device.html", context)


def _reset_device(token: AccessToken) -> str:
    services.reset_device(token.user, token.pk)
    return _("The device was reset. Another device can use the token now.")


def _act_and_redirect(request: HttpRequest, token: AccessToken, act: Callable[[], str]) -> HttpResponse:
    """Run `act` and redirect to the token's page, with its message or the error."""
    try:
        messages.success(request, act())
    except APIException as error:
        return _redirect_with_error(request, token, error_message(error))
    return redirect("token", token.pk)


def _redirect_with_error(request: HttpRequest, token: AccessToken, reason: str) -> HttpResponse:
    messages.error(request, reason)
    return redirect("token", token.pk)
