"""The page about connecting by desktop client, browser and scripts, with the user's own values."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from access import selectors, token_secret
from access.models import AccessToken
from accounts.requests import current_user
from accounts.web.reauthentication import PasswordForm
from proxy.web import devices
from proxy.web.examples import PLACEHOLDER, examples, gateway
from zenzefi.common.throttled_forms import with_throttled_status


@never_cache
@login_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def connect(request: HttpRequest) -> HttpResponse:
    """Show how to connect with the token that `?token=` selects.

    After the user has entered the password, the examples contain the token's secret.
    """
    user, form = current_user(request), PasswordForm(request.POST or None)
    tokens = list(selectors.live_tokens_of(user, timezone.now()))
    token = _selected(tokens, request.GET.get("token", ""))
    text = token_secret.decrypt(token.ciphertext) if token and form.verify(request) else None
    device = devices.suggested_device_id(user)
    context = {
        "tokens": tokens,
        "token": token,
        "text": text,
        "form": form,
        "gateway": gateway(),
        "device": device,
        "examples": {example.name: example.text for example in examples(text or PLACEHOLDER, device)},
    }
    return with_throttled_status(render(request, "proxy/connect.html", context), form)


def _selected(tokens: list[AccessToken], wanted: str) -> AccessToken | None:
    """Return the wanted token, else the one that lasts longest."""
    try:
        pk = UUID(wanted)
    except ValueError:
        pk = None
    return next((token for token in tokens if token.pk == pk), tokens[-1] if tokens else None)
