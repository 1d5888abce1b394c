"""The page of the user's logins: list, log out one, log out all others."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import logins
from accounts.requests import current_user


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def logins_page(request: HttpRequest) -> HttpResponse:
    """Show the user's logins. A POST revokes the one named by `login`, or all except this session."""
    user, key = current_user(request), request.session.session_key
    if request.method != "POST":
        return render(request, "accounts/logins.html", {"logins": logins.for_user(user, session_key=key)})
    if chosen := request.POST.get("login"):
        if logins.revoke(user, chosen):
            messages.success(request, _("That client is logged out."))
    else:
        logins.revoke_all(user, except_session=key)
        messages.success(request, _("You are logged out everywhere else."))
    return redirect("logins")
