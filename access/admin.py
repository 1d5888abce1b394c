"""Tariffs, access tokens and the outbox of revocations in the admin."""

from collections.abc import Callable

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from access import selectors, services
from access.errors import TokenNotActive
from access.models import AccessToken, Revocation, Tariff
from accounts.admin import ModelAdmin
from accounts.requests import current_user
from zenzefi.common.read_only_admin import ReadOnlyAdmin


@admin.register(Tariff)
class TariffAdmin(ModelAdmin):
    list_display = ["title", "duration_hours", "scope", "price"]
    list_filter = ["scope"]
    search_fields = ["title"]


class ReasonActionForm(ActionForm):
    """The form of the admin actions, with a reason for the audit trail."""

    reason = forms.CharField(label=_("Reason:"), max_length=500, required=False)


@admin.register(AccessToken)
class AccessTokenAdmin(ReadOnlyAdmin):
    list_display = ["user", "scope", "duration_hours", "cost", "active", "created_at", "expires_at", "id"]
    list_filter = ["scope", "duration_hours", "created_at"]
    list_select_related = ["user__wallet"]
    search_fields = ["id", "user__email"]
    fields = [
        "id",
        "user",
        "scope",
        "duration_hours",
        "cost",
        "created_at",
        "expires_at",
        "activated_at",
        "revoked_at",
        "frozen_at",
    ]
    action_form = ReasonActionForm
    actions = ["revoke_by_force", "freeze", "unfreeze"]

    @admin.display(boolean=True, description=_("active"))
    def active(self, token: AccessToken) -> bool:
        return selectors.is_usable(token)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may run the actions. The rows themselves are read-only."""
        return request.user.has_perm("access.change_accesstoken")

    @admin.action(description=_("Revoke by force, without a refund"), permissions=["decide"])
    def revoke_by_force(self, request: HttpRequest, tokens: QuerySet[AccessToken]) -> None:
        self._apply(services.revoke_by_force, request, tokens)

    @admin.action(description=_("Freeze"), permissions=["decide"])
    def freeze(self, request: HttpRequest, tokens: QuerySet[AccessToken]) -> None:
        self._apply(services.freeze, request, tokens)

    @admin.action(description=_("Unfreeze"), permissions=["decide"])
    def unfreeze(self, request: HttpRequest, tokens: QuerySet[AccessToken]) -> None:
        self._apply(services.unfreeze, request, tokens)

    def _apply(self, change: Callable[..., None], request: HttpRequest, tokens: QuerySet[AccessToken]) -> None:
        reason = request.POST.get("reason", "").strip()
        if not reason:
            self.message_user(request, _("Give a reason. It is kept in the audit trail."), messages.ERROR)
            return
        changed, unchanged = 0, 0
        for token in tokens:
            try:
                change(token.pk, actor=current_user(request), reason=reason)
                changed += 1
            except TokenNotActive:
                unchanged += 1
        self._show_result(request, changed, unchanged)

    def _show_result(self, request: HttpRequest, changed: int, unchanged: int) -> None:
        if changed:
            text = ngettext("%(count)d token changed.", "%(count)d tokens changed.", changed)
            self.message_user(request, text % {"count": changed}, messages.SUCCESS)
        if unchanged:
            text = ngettext(
                "%(count)d token cannot be changed in its current state.",
                "%(count)d tokens cannot be changed in their current state.",
                unchanged,
            )
            self.message_user(request, text % {"count": unchanged}, messages.WARNING)


@admin.register(Revocation)
class RevocationAdmin(ReadOnlyAdmin):
    list_display = ["id", "created_at", "cause", "token", "user"]
    list_filter = ["cause"]
    list_select_related = ["token__user", "user"]
    search_fields = ["token__id", "token__user__email", "user__email"]
