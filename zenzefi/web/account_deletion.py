"""The page on which users delete their account."""

from typing import cast

from django import forms
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import ValidationError

from accounts.models import User
from accounts.requests import current_user
from accounts.web.reauthentication import PasswordForm
from zenzefi import account_deletion
from zenzefi.common.templatetags.ui import money
from zenzefi.common.throttled_forms import with_status


class DeletionForm(PasswordForm):
    gives_up_credits = forms.BooleanField(label=gettext_lazy("I give up the credits that are left."), required=False)


@login_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest) -> HttpResponse:
    """Says what will happen; with the password, and with a tick where credits are lost, it does."""
    user, form = current_user(request), DeletionForm(request.POST or None)
    found = account_deletion.preview(user)
    if not found.forfeited:
        del form.fields["gives_up_credits"]
    if _deleted(request, user, form):
        logout(request)
        messages.success(request, gettext("Your account is deleted."))
        return redirect("landing")
    context = {
        "title": gettext("Delete my account"),
        "consequences": _consequences(found),
        "action": gettext("Delete for good"),
        "cancel_url": reverse("profile"),
        "form": form,
    }
    return with_status(render(request, "confirm.html", context), form)


def _deleted(request: HttpRequest, user: User, form: DeletionForm) -> bool:
    """Whether it was done; else the form says why not."""
    if not form.verify(request):
        return False
    try:
        account_deletion.close(user, gives_up_credits=form.cleaned_data.get("gives_up_credits", False))
    except ValidationError as refused:
        for field, problems in cast("dict[str, list[str]]", refused.detail).items():
            form.add_error(field if field in form.fields else None, [str(problem) for problem in problems])
    return not form.errors


def _consequences(found: account_deletion.Closing) -> list[str]:
    sentences = [
        gettext(
            "Your e-mail address, your names and the addresses you came from are deleted. Nobody can log in again."
        ),
        gettext("Payments and movements of credits stay in our books, without your name."),
    ]
    if found.tokens:
        text = ngettext(
            "%(count)d active token is revoked, and its connections end. Its unused time is worth %(refund)s.",
            "%(count)d active tokens are revoked, and their connections end. Their unused time is worth %(refund)s.",
            found.tokens,
        )
        sentences.append(text % {"count": found.tokens, "refund": money(found.refund)})
    if found.forfeited:
        sentences.append(gettext("You lose %(amount)s of credits.") % {"amount": money(found.forfeited)})
    return sentences
