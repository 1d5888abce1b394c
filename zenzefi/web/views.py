"""The start page, and what a visitor can choose on every page: language and colours."""

from decimal import Decimal

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import check_for_language
from django.views import i18n
from django.views.decorators.http import require_POST, require_safe

from access import selectors
from access.models import Scope
from accounts.services import update_profile
from billing.currencies import price_of, shown
from zenzefi.web.context import THEMES


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """What it is and what it costs; full access, which most want, stands first."""
    tariffs = sorted(selectors.tariffs(), key=lambda tariff: tariff.scope != Scope.FULL)
    hundred = shown(price_of(Decimal(100), settings.ZNC_PRICE, settings.PAYMENT_CURRENCY), settings.PAYMENT_CURRENCY)
    return render(request, "landing.html", {"tariffs": tariffs, "hundred": hundred})


@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Keeps the language in a cookie, and in the profile of who is signed in, which comes first."""
    language = request.POST.get("language", "")
    if request.user.is_authenticated and check_for_language(language):
        update_profile(request.user, language=language)
    return i18n.set_language(request)


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Keeps the colours in a cookie, which the server reads for the next page: nothing flashes."""
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "/"
    response = redirect(target)
    theme = request.POST.get("theme", "")
    if theme in THEMES:
        response.set_cookie(
            settings.THEME_COOKIE_NAME,
            theme,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            secure=settings.COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    else:
        response.delete_cookie(settings.THEME_COOKIE_NAME, samesite="Lax")
    return response
