"""Users, refresh token families, API tokens and the audit trail."""

import secrets
import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.sessions import WebSession  # noqa: F401  (registers the model)
from accounts.signals import password_changed, superuser_created
from zenzefi.common.time_zones import time_zone_names

username_form = RegexValidator(
    r"\A[\w.+-]{3,64}\Z", _("Use 3 to 64 letters, digits, dots, dashes, plus signs or underscores.")
)


def validate_time_zone(name: str) -> None:
    """Raise `ValidationError` unless the IANA time zone database contains the name."""
    if name not in time_zone_names():
        raise ValidationError(_("This time zone is not known."), "unknown_time_zone")


def new_referral_code() -> str:
    return secrets.token_hex(5)


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=normalise_email(username or ""))

    def create_user(self, email: str, username: str, password: str | None, **fields: Any) -> "User":
        user = self.model(email=normalise_email(email), username=username, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, username: str, password: str | None, **fields: Any) -> "User":
        """Create an operator. The e-mail address counts as confirmed: the caller has access to the server."""
        user = self.create_user(email, username, password, is_staff=True, is_superuser=True, **fields)
        superuser_created.send(sender=User, user=user)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """A customer or an operator, who logs in with the e-mail address. It is stored in lower case."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(_("e-mail"), unique=True)
    username = models.CharField(_("user name"), max_length=64, validators=[username_form])
    full_name = models.CharField(_("full name"), max_length=200, blank=True)
    language = models.CharField(_("language"), max_length=8, blank=True, choices=settings.LANGUAGES)
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, validators=[validate_time_zone])
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("A blocked user loses all access at once.")
    )
    is_staff = models.BooleanField(_("may enter the admin"), default=False)
    referral_code = models.CharField(_("referral code"), max_length=16, unique=True, default=new_referral_code)
    referred_by = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="referrals",
        verbose_name=_("referred by"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)
    deleted_at = models.DateTimeField(_("deleted"), null=True, blank=True, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["username"]

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            models.UniqueConstraint(
                Lower("username"),
                name="accounts_user_username_unique",
                violation_error_message=_("This user name is taken."),
            )
        ]

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        self.email = normalise_email(self.email)

    def save(self, *args: Any, **kwargs: Any) -> None:
        # `_password` is set until a new password is saved; an upgrade of the hash does not set it.
        new_password = getattr(self, "_password", None) is not None and not self._state.adding
        with transaction.atomic():
            super().save(*args, **kwargs)
            if new_password:
                password_changed.send(sender=User, user=self)


def normalise_email(email: str) -> str:
    """Return the form in which an e-mail address is stored and compared: stripped and in lower case."""
    return email.strip().lower()


class RefreshFamily(models.Model):
    """One login over the API: the chain of its refresh tokens. Only the newest `jti` may be used."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="refresh_families", verbose_name=_("user"))
    current_jti = models.CharField(max_length=32)
    address = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    user_agent = models.CharField(_("client"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    rotated_at = models.DateTimeField(_("last used"))
    expires_at = models.DateTimeField(_("expires"), db_index=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("refresh token family")
        verbose_name_plural = _("refresh token families")

    def __str__(self) -> str:
        return f"{self.user}, {self.created_at:%Y-%m-%d %H:%M}"


class ApiToken(models.Model):
    """A user's key for scripts. Only its SHA-256 and its first characters are stored; the text is shown once."""

    class Scope(models.TextChoices):
        READ = "read", _("read: balance, tokens, payments, usage")
        TOKENS = "tokens", _("tokens: buy, extend and revoke access tokens")
        CURRENCY = "currency", _("currency: start top-ups")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens", verbose_name=_("user"))
    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(_("begins with"), max_length=16)
    digest = models.CharField(_("SHA-256"), max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("scopes"), default=list)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    last_used_at = models.DateTimeField(_("last used"), null=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()


class AuditEvent(models.Model):
    """An event of the audit trail. The database rejects changes and deletions."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(_("kind"), max_length=64, db_index=True)
    user = models.ForeignKey(
        User,
        models.PROTECT,
        null=True,
        related_name="audit_events",
        verbose_name=_("concerns"),
        db_constraint=True,
    )
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", verbose_name=_("done by"))
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    details = models.JSONField(_("details"), default=dict)
    created_at = models.DateTimeField(_("when"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")

    def __str__(self) -> str:
        return f"{self.kind} · {self.user}" if self.user else self.kind
