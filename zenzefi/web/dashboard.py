"""The dashboard: balance, tokens, traffic, recent transactions, and notices."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from access import selectors
from access.models import AccessToken
from accounts import email_addresses
from accounts.models import User
from accounts.requests import current_user
from billing import ledger
from billing.selectors import history
from proxy.selectors import holders
from proxy.usage import daily_usage
from zenzefi.common.templatetags.ui import hours, money

DAYS = 7
MOVEMENTS = 5
SOON = timedelta(hours=24)


@dataclass(frozen=True)
class Notice:
    """A matter that needs attention, and the page that helps."""

    kind: str
    text: str
    url: str = ""
    action: str = ""


@never_cache
@login_required
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """Show the dashboard of the logged-in user."""
    user, now = current_user(request), timezone.now()
    tokens = list(selectors.live_tokens_of(user, now))
    held, days = holders(tokens), daily_usage(user, DAYS)
    balance, debt = ledger.balance_and_debt(user)
    context = {
        "balance": balance,
        "debt": debt,
        "tokens": [(token, selectors.state(token, now), held.get(token.pk)) for token in tokens],
        "had_tokens": not tokens and selectors.ended_tokens_of(user, now).exists(),
        "days": days,
        "traffic": sum(day.bytes for day in days),
        "movements": history(user).select_related("transaction__payment")[:MOVEMENTS],
        "notices": [
            *_account_notices(user, debt),
            *(_expiry_notice(token) for token in tokens if _expires_soon(token)),
        ],
    }
    return render(request, "zenzefi/dashboard.html", context)


def _account_notices(user: User, debt: Any) -> list[Notice]:
    notices = []
    if settings.MAINTENANCE:
        notices.append(
            Notice("warning", _("Maintenance is in progress. The server cannot be reached at the moment."))
        )
    if debt:
        text = _("You owe %(debt)s. Your tokens are frozen until you pay it.") % {"debt": money(debt)}
        url = f"{reverse('topup')}?amount={debt}"
        notices.append(Notice("error", text, url, _("Top up %(debt)s") % {"debt": money(debt)}))
    if not email_addresses.is_confirmed(user):
        text = _("Your e-mail address is not confirmed yet, so we cannot reach you about your account.")
        notices.append(Notice("warning", text, reverse("account_email"), _("Confirm it")))
    return notices


def _expires_soon(token: AccessToken) -> bool:
    """Return whether a token that was bought for longer than a day expires within a day."""
    bought_for_longer = timedelta(hours=token.duration_hours) > SOON
    return bought_for_longer and token.expires_at - timezone.now() < SOON


def _expiry_notice(token: AccessToken) -> Notice:
    text = _("Your token for %(time)s expires within a day.") % {"time": hours(token.duration_hours)}
    return Notice("warning", text, reverse("token-extend", args=[token.pk]), _("Extend it"))
