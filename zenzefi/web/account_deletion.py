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
from zenzefi.common.throttled_forms import with_throttled_status


class DeletionForm(PasswordForm):
    """The password, and the consent to lose the credits that are left."""

    gives_up_credits = forms.BooleanField(label=gettext_lazy("I give up my remaining credits."), required=False)


@login_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest) -> HttpResponse:
    """Show the consequences; delete the account if the form is complete."""
    user, form = current_user(request), DeletionForm(request.POST or None)
    preview = account_deletion.preview(user)
    if not preview.forfeited:
        del form.fields["gives_up_credits"]
    if _delete_account(request, user, form):
        logout(request)
        messages.success(request, gettext("Your account has been deleted."))
        return redirect("landing")
    context = {
        "title": gettext("Delete my account"),
        "consequences": _consequences(preview),
        "action": gettext("Delete permanently"),
        "cancel_url": reverse("profile"),
        "form": form,
    }
    return with_throttled_status(render(request, "confirm.html", context), form)


def _delete_account(request: HttpRequest, user: User, form: DeletionForm) -> bool:
    """Delete the account. Return whether it was deleted; if not, the form has the reason."""
    if not form.verify(request):
        return False
    try:
        account_deletion.delete_account(user, gives_up_credits=form.cleaned_data.get("gives_up_credits", False))
    except ValidationError as error:
        for field, problems in cast("dict[str, list[str]]", error.detail).items():
            form.add_error(field if field in form.fields else None, [str(problem) for problem in problems])
    return not form.errors


def _consequences(preview: account_deletion.DeletionPreview) -> list[str]:
    """Return the consequences of the deletion, one sentence each."""
    sentences = [
        gettext(
            "Your e-mail address, your names and your IP addresses will be deleted. "
            "You will not be able to log in again."
        ),
        gettext("Your payments and transactions will stay in our books, without your name."),
    ]
    if preview.tokens:
        text = ngettext(
            "%(count)d active token will be revoked, and its connections will be closed. "
            "Its unused time is worth %(refund)s.",
            "%(count)d active tokens will be revoked, and their connections will be closed. "
            "Their unused time is worth %(refund)s.",
            preview.tokens,
        )
        sentences.append(text % {"count": preview.tokens, "refund": money(preview.refund)})
    if preview.forfeited:
        sentences.append(gettext("You will lose %(amount)s of credits.") % {"amount": money(preview.forfeited)})
    return sentences
