"""The page about a token, the page after its purchase, and the button that opens the upstream in the browser."""

import base64
from typing import Any, cast
from uuid import UUID

import qrcode
from csp.decorators import csp_update
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from qrcode.image.svg import SvgPathImage

from access import selectors, token_secret
from access.models import AccessToken, Scope
from access.selectors import TokenState
from access.web import recent_purchases
from access.web.lookup import get_own_token_or_404
from accounts.requests import current_user
from proxy.dataplane.admission import handoff_codes
from proxy.dataplane.rules.cookies import ACCESS_COOKIE, sign_access
from proxy.dataplane.rules.paths import PREFIX
from proxy.dataplane.rules.proxy_host import origin_of
from proxy.selectors import holders, sessions_of
from proxy.web import devices
from proxy.web.examples import gateway
from zenzefi.common.htmx_partials import htmx_partial

PER_PAGE = 20


@never_cache
@login_required
@require_safe
def token_page(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Show the token, the device that holds it and its sessions."""
    token = get_own_token_or_404(request, token_id)
    sessions = Paginator(sessions_of(token), PER_PAGE).get_page(request.GET.get("page"))
    context = {**_live(token), "sessions": sessions, "quote": selectors.refund_quote(token, timezone.now())}
    return render(request, "proxy/token.html", context)


@htmx_partial
def token_live(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Return the part of the page that refreshes itself: the device and its traffic."""
    live = _live(get_own_token_or_404(request, token_id))
    response = render(request, "proxy/token_live.html", live)
    if not live["active"]:  # the rest of the page changes as well
        response["HX-Refresh"] = "true"
    return response


def _live(token: AccessToken) -> dict[str, Any]:
    state = selectors.state(token)
    active = state == TokenState.ACTIVE
    return {
        "token": token,
        "state": state,
        "active": active,
        "holder": holders([token]).get(token.pk) if active else None,
        "resets_left": selectors.device_resets_left(token, timezone.now()) if active else 0,
        "timeout": settings.SESSION_TIMEOUT_SECONDS,
    }


@never_cache
@login_required
@require_safe
def token_bought(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Show the token's secret for ten minutes after its purchase in this session.

    Later, redirect to the page about the token, which asks for the password.
    """
    token = get_own_token_or_404(request, token_id)
    text = token_secret.decrypt(token.ciphertext) if recent_purchases.includes(request, token) else None
    if text is None:
        return redirect("token", token.pk)
    context = {
        "token": token,
        "text": text,
        "qr": _qr(text),
        "gateway": gateway(),
        "device": devices.suggested_device_id(current_user(request)),
    }
    return render(request, "proxy/token_bought.html", context)


def _qr(text: str) -> str:
    """Return a QR code as a `data:` URL, which the content policy allows for images."""
    code = qrcode.make(text, image_factory=SvgPathImage, border=2)
    return f"data:image/svg+xml;base64,{base64.b64encode(code.to_string()).decode()}"


@never_cache
@login_required
@require_POST
def open_in_browser(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Sign this browser in with the token, as `POST /api/v1/proxy/session` does, and open the start of its scope.

    If `PROXY_HOST` is set, do so on that host.
    """
    token, device = get_own_token_or_404(request, token_id), devices.browser_device_id(request)
    if selectors.state(token) != TokenState.ACTIVE:
        return redirect("token", token.pk)
    start = "certificates" if token.scope == Scope.CERTIFICATES_ONLY else ""
    if settings.PROXY_HOST:
        return _open_on_proxy_host(request, token, device, f"/{start}")
    response = redirect(f"{PREFIX.decode()}/{start}")
    devices.set_device_cookie(response, device)
    response.set_cookie(
        ACCESS_COOKIE,
        sign_access(token.digest, device),
        secure=settings.COOKIE_SECURE,
        httponly=True,
        samesite=cast("Any", settings.COOKIE_SAMESITE),
    )
    return response


def _open_on_proxy_host(request: HttpRequest, token: AccessToken, device: str, path: str) -> HttpResponse:
    """Return a page whose form makes `PROXY_HOST` set the cookie (`proxy.dataplane.admission.handoff_codes`)."""
    origin = origin_of(settings.PROXY_HOST, settings.BACKEND_URL)
    code = handoff_codes.issue(token.digest, device, path)
    context = {
        "token": token,
        "host": settings.PROXY_HOST,
        "action": f"{origin}{handoff_codes.PATH.decode()}?code={code}",
    }
    page = csp_update({"form-action": [origin]})(lambda request: render(request, "proxy/handoff.html", context))
    response = cast("HttpResponse", page(request))
    # `same-origin` would hide the origin of this page from the other host, which checks it.
    response["Referrer-Policy"] = "strict-origin"
    devices.set_device_cookie(response, device)
    return response
