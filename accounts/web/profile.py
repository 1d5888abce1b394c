"""The profile, and the user's own logins."""

from typing import cast

from allauth.account.models import EmailAddress
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language_from_request, override
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import logins, mfa, services
from accounts.models import User
from accounts.web.forms import ProfileForm


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    user = cast("User", request.user)
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=user.pk))
    if form.is_valid():
        services.update_profile(user, **{name: form.cleaned_data[name] for name in form.fields})
        with override(form.cleaned_data["language"] or get_language_from_request(request)):
            messages.success(request, _("Saved."))
        return redirect("profile")
    address = EmailAddress.objects.filter(user=user, primary=True).first()
    return render(
        request, "accounts/profile.html", {"form": form, "address": address, "second_factor": mfa.is_on(user)}
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def logins_page(request: HttpRequest) -> HttpResponse:
    """The user's logins. POST ends the one that `login` names, or all but this session."""
    user, key = cast("User", request.user), request.session.session_key
    if request.method != "POST":
        return render(request, "accounts/logins.html", {"logins": logins.of(user, session_key=key)})
    if chosen := request.POST.get("login"):
        if logins.end(user, chosen):
            messages.success(request, _("That login has ended."))
    else:
        logins.end_all(user, except_session=key)
        messages.success(request, _("You are logged out everywhere else."))
    return redirect("logins")
