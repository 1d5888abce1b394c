"""Users, their logins and the audit trail in the admin."""

from typing import TYPE_CHECKING, Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import admin as auth_admin
from django.contrib.auth import forms as auth_forms
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from accounts import mfa, services
from accounts.models import ApiToken, AuditEvent, RefreshFamily, User
from accounts.requests import current_user
from zenzefi.common.read_only_admin import ReadOnlyAdmin

if TYPE_CHECKING:  # generic in the stubs only
    ModelAdmin = admin.ModelAdmin[Any]
    BaseUserAdmin = auth_admin.UserAdmin[User]
    CreationForm = auth_forms.UserCreationForm[User]
    ChangeForm = auth_forms.UserChangeForm[User]
    PasswordForm = auth_forms.AdminPasswordChangeForm[User]
else:
    ModelAdmin, BaseUserAdmin = admin.ModelAdmin, auth_admin.UserAdmin
    CreationForm, ChangeForm = auth_forms.UserCreationForm, auth_forms.UserChangeForm
    PasswordForm = auth_forms.AdminPasswordChangeForm


class NewUserForm(CreationForm):
    class Meta:
        model = User
        fields = ["email", "username", "full_name"]


class UserForm(ChangeForm):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        required=False,
        help_text=_("Why you block or unblock the user. The audit trail keeps the reason."),
    )


class SetPasswordForm(PasswordForm):
    usable_password = None  # a user who must not log in is blocked instead


@admin.register(User)
class UserAdmin(BaseUserAdmin):
    """The admin of users. Only superusers may promote or change superusers."""

    form, add_form, change_password_form = UserForm, NewUserForm, SetPasswordForm
    list_display = ["email", "username", "full_name", "is_active", "is_staff", "created_at"]
    list_filter = ["is_active", "is_staff", "is_superuser", ("deleted_at", admin.EmptyFieldListFilter)]
    search_fields = ["email", "username", "full_name", "id"]
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    readonly_fields = ["id", "referral_code", "referred_by", "last_login", "created_at", "updated_at", "deleted_at"]
    fieldsets = [
        (None, {"fields": ["id", "email", "username", "full_name", "password"]}),
        (_("Access"), {"fields": ["is_active", "reason"]}),
        (_("Permissions"), {"fields": ["is_staff", "is_superuser", "groups", "user_permissions"]}),
        (_("Referral"), {"fields": ["referral_code", "referred_by"]}),
        (_("Dates"), {"fields": ["created_at", "updated_at", "last_login", "deleted_at"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "username", "full_name", "password1", "password2"]})]
    actions = ["turn_off_second_factor"]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        powers = ["is_staff", "is_superuser", "groups", "user_permissions"]
        # Operators cannot block themselves or restore a deleted account.
        own = ["is_active"] if obj and (obj == request.user or obj.deleted_at) else []
        return [*self.readonly_fields, *own, *([] if request.user.is_superuser else powers)]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (request.user.is_superuser or obj is None or not obj.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save the changed fields only, and `is_active` through the service."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        active, changed = obj.is_active, set(form.changed_data)
        plain = changed & {"email", "username", "full_name", "is_staff", "is_superuser"}
        obj.save(update_fields=[*plain, "updated_at"])
        if "is_active" in changed:
            actor = current_user(request)
            services.set_active(obj, active, actor=actor, reason=form.cleaned_data["reason"])

    def has_rescue_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    @admin.action(description=_("Turn off a lost second factor"), permissions=["rescue"])
    def turn_off_second_factor(self, request: HttpRequest, users: QuerySet[User]) -> HttpResponse | None:
        """Turn off the second factor of one user, after the operator has confirmed it on a page."""
        actor, user = current_user(request), users.get() if users.count() == 1 else None
        if user is None or user == actor or not mfa.is_on(user):
            text = _("Choose exactly one user who has a second factor. You cannot choose yourself.")
            self.message_user(request, text, messages.ERROR)
            return None
        if "confirmed" not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "title": _("Turn off a lost second factor"),
                "opts": self.opts,
                "customer": user,
                "checkbox": ACTION_CHECKBOX_NAME,
            }
            return TemplateResponse(request, "admin/accounts/user/second_factor.html", context)
        with transaction.atomic():
            services.turn_off_second_factor(user, actor=actor)
            self.log_change(request, user, str(_("The second factor is off.")))
        self.message_user(request, _("The second factor is off."), messages.SUCCESS)
        return None


# allauth's own pages would show secrets and write no audit events.
for model in (EmailAddress, Authenticator):
    admin.site.unregister(model)


@admin.register(EmailAddress)
class EmailAddressAdmin(ReadOnlyAdmin):
    list_display = ["email", "user", "primary", "verified"]
    list_filter = ["verified"]
    list_select_related = ["user"]
    search_fields = ["email", "user__email", "user__username", "user__id"]


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    list_display = ["user", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at"]
    list_select_related = ["user"]
    search_fields = ["user__email", "user__username", "user__id"]
    exclude = ["digest"]


@admin.register(RefreshFamily)
class RefreshFamilyAdmin(ReadOnlyAdmin):
    list_display = ["user", "created_at", "rotated_at", "expires_at", "revoked_at"]
    list_select_related = ["user"]
    search_fields = ["user__email", "user__username", "user__id"]
    exclude = ["current_jti"]


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "kind", "user", "actor", "reason"]
    list_filter = ["kind"]
    list_select_related = ["user", "actor"]
    search_fields = ["kind", "user__email", "user__username", "user__id", "actor__email", "reason"]
    date_hierarchy = "created_at"
