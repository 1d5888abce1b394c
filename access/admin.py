"""Tariffs, sold tokens and the outbox in the admin."""

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
from accounts.admin import ModelAdmin, ReadOnlyAdmin
from accounts.requests import current_user


@admin.register(Tariff)
class TariffAdmin(ModelAdmin):
    list_display = ["title", "duration_hours", "scope", "price"]
    list_filter = ["scope"]
    search_fields = ["title"]


class ActionWithReason(ActionForm):
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
    action_form = ActionWithReason
    actions = ["revoke_by_force", "freeze", "unfreeze"]

    @admin.display(boolean=True, description=_("active"))
    def active(self, token: AccessToken) -> bool:
        return selectors.is_usable(token)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """The rows are read-only; the actions are for those who may change tokens."""
        return request.user.has_perm("access.change_accesstoken")

    @admin.action(description=_("Revoke by force, without a refund"), permissions=["decide"])
    def revoke_by_force(self, request: HttpRequest, tokens: QuerySet[AccessToken]) -> None:
        self._decide(services.revoke_by_force, request, tokens)

    @admin.action(description=_("Freeze"), permissions=["decide"])
    def freeze(self, request: HttpRequest, tokens: QuerySet[AccessToken]) -> None:
        self._decide(services.freeze, request, tokens)

    @admin.action(description=_("Unfreeze"), permissions=["decide"])
    def unfreeze(self, request: HttpRequest, tokens: QuerySet[AccessToken]) -> None:
        self._decide(services.unfreeze, request, tokens)

    def _decide(self, decision: Callable[..., None], request: HttpRequest, tokens: QuerySet[AccessToken]) -> None:
        reason = request.POST.get("reason", "").strip()
        if not reason:
            self.message_user(request, _("Give a reason. It is kept in the audit trail."), messages.ERROR)
            return
        done, refused = 0, 0
        for token in tokens:
            try:
                decision(token.pk, actor=current_user(request), reason=reason)
                done += 1
            except TokenNotActive:
                refused += 1
        self._tell(request, done, refused)

    def _tell(self, request: HttpRequest, done: int, refused: int) -> None:
        if done:
            text = ngettext("%(count)d token changed.", "%(count)d tokens changed.", done)
            self.message_user(request, text % {"count": done}, messages.SUCCESS)
        if refused:
            text = ngettext(
                "%(count)d token cannot be changed in its current state.",
                "%(count)d tokens cannot be changed in their current state.",
                refused,
            )
            self.message_user(request, text % {"count": refused}, messages.WARNING)


@admin.register(Revocation)
class RevocationAdmin(ReadOnlyAdmin):
    list_display = ["id", "created_at", "cause", "token", "user"]
    list_filter = ["cause"]
    list_select_related = ["token__user", "user"]
    search_fields = ["token__id", "token__user__email", "user__email"]
