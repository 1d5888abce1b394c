"""Users, their logins and the audit trail in the admin."""

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import admin as auth_admin
from django.contrib.auth import forms as auth_forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import Throttled

from accounts import services
from accounts.errors import InvalidCredentials
from accounts.models import AuditEvent, RefreshFamily, User

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


class ReadOnlyAdmin(ModelAdmin):
    """Rows to look at: nobody adds, changes or deletes them here."""

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Ids and times, too, which no form would have."""
        hidden = self.exclude or ()
        return self.fields or [field.name for field in self.opts.fields if field.name not in hidden]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LoginForm(AdminAuthenticationForm):
    """The admin's login, under the same limit on failures as the API's."""

    def clean(self) -> dict[str, Any]:
        email, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if email and password and self.request:
            address = self.request.META.get("REMOTE_ADDR", "")
            try:
                self.user_cache = services.check_credentials(email, password, address=address)
            except InvalidCredentials:
                raise self.get_invalid_login_error() from None
            except Throttled as error:
                raise forms.ValidationError(error.detail) from None
            self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data


admin.site.login_form = LoginForm


class NewUserForm(CreationForm):
    class Meta:
        model = User
        fields = ["email", "username", "full_name"]


class UserForm(ChangeForm):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        required=False,
        help_text=_("Why the user is blocked or unblocked; kept in the audit trail."),
    )


class PasswordOfUserForm(PasswordForm):
    usable_password = None  # who must not log in is blocked


@admin.register(User)
class UserAdmin(BaseUserAdmin):
    """Who is not a superuser makes no superusers and does not change them."""

    form, add_form, change_password_form = UserForm, NewUserForm, PasswordOfUserForm
    list_display = ["email", "username", "full_name", "is_active", "is_staff", "created_at"]
    list_filter = ["is_active", "is_staff", "is_superuser"]
    search_fields = ["email", "username", "full_name", "id"]
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    readonly_fields = ["id", "referral_code", "referred_by", "last_login", "created_at", "updated_at"]
    fieldsets = [
        (None, {"fields": ["id", "email", "username", "full_name", "password"]}),
        (_("Access"), {"fields": ["is_active", "reason"]}),
        (_("Permissions"), {"fields": ["is_staff", "is_superuser", "groups", "user_permissions"]}),
        (_("Referral"), {"fields": ["referral_code", "referred_by"]}),
        (_("Dates"), {"fields": ["created_at", "updated_at", "last_login"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "username", "full_name", "password1", "password2"]})]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        powers = ["is_staff", "is_superuser", "groups", "user_permissions"]
        own = ["is_active"] if obj == request.user else []  # nobody blocks herself
        return [*self.readonly_fields, *own, *([] if request.user.is_superuser else powers)]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (request.user.is_superuser or obj is None or not obj.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """What was changed, and no more; `is_active` through the service."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        active, changed = obj.is_active, set(form.changed_data)
        plain = changed & {"email", "username", "full_name", "is_staff", "is_superuser"}
        obj.save(update_fields=[*plain, "updated_at"])
        if "is_active" in changed:
            actor = cast("User", request.user)
            services.set_active(obj, active, actor=actor, reason=form.cleaned_data["reason"])


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
