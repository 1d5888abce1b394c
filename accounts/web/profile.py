"""The page of the profile."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language_from_request, override
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import email_addresses, mfa, selectors, services
from accounts.requests import current_user
from accounts.web.forms import ProfileForm


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Show the profile and its form, and save it on a POST."""
    user = current_user(request)
    form = ProfileForm(request.POST or None, instance=selectors.stored(user))
    if form.is_valid():
        services.update_profile(user, **{name: form.cleaned_data[name] for name in form.fields})
        with override(form.cleaned_data["language"] or get_language_from_request(request)):
            messages.success(request, _("Saved."))
        return redirect("profile")
    address = email_addresses.primary_of(user)
    return render(
        request, "accounts/profile.html", {"form": form, "address": address, "second_factor": mfa.is_on(user)}
    )
