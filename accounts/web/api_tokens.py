"""Pages of personal API tokens: list, create, delete."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import ValidationError

from accounts import api_tokens
from accounts.errors import ApiTokenAlreadyCreated, ApiTokenNotFound
from accounts.requests import current_user
from accounts.web.forms import ApiTokenForm
from accounts.web.reauthentication import reauthentication_required
from zenzefi.common.error_messages import error_message


@never_cache
@login_required
@reauthentication_required
@require_http_methods(["GET", "HEAD", "POST"])
def api_tokens_page(request: HttpRequest) -> HttpResponse:
    """Show the list and the form. The text of a new token is shown once, in the response to the form."""
    user = current_user(request)
    form, created = ApiTokenForm(request.POST or None), None
    if form.is_valid():
        try:
            created = api_tokens.create(user, **form.cleaned_data)
            form = ApiTokenForm()
        except ValidationError as error:
            for problem in error.detail["name"]:  # type: ignore[call-overload]
                form.add_error("name", str(problem))
        except ApiTokenAlreadyCreated as error:  # the form was reloaded or sent twice
            messages.warning(request, error_message(error))
            return redirect("api-tokens-page")
    text = created and created[1]
    return render(
        request, "accounts/api_tokens.html", {"form": form, "text": text, "tokens": api_tokens.for_user(user)}
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete_api_token(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Ask for confirmation, then revoke the token."""
    user = current_user(request)
    token = api_tokens.for_user(user).filter(pk=token_id).first()
    if token is None:
        raise Http404
    if request.method != "POST":
        context = {
            "title": _("Delete the API token “%(name)s”?") % {"name": token.name},
            "consequences": [_("Scripts that use this token will stop working immediately. This cannot be undone.")],
            "action": _("Delete"),
            "cancel_url": reverse("api-tokens-page"),
        }
        return render(request, "confirm.html", context)
    try:
        api_tokens.revoke(user, token_id)
    except ApiTokenNotFound:
        raise Http404 from None
    messages.success(request, _("The API token is deleted."))
    return redirect("api-tokens-page")
