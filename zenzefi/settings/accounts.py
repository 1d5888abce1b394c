"""Users, sign-in, cookies and e-mail."""

from typing import Any

import environ

from zenzefi import env
from zenzefi.settings.deployment import PRODUCTION
from zenzefi.settings.proxy import COOKIE_SECURE

AUTH_USER_MODEL = "accounts.User"
_password_rules: dict[str, dict[str, Any]] = {
    "UserAttributeSimilarityValidator": {"user_attributes": ["username", "full_name", "email"]},
    "MinimumLengthValidator": {},
    "CommonPasswordValidator": {},
    "NumericPasswordValidator": {},
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in _password_rules.items()
]
LOGIN_URL, LOGIN_REDIRECT_URL, LOGOUT_REDIRECT_URL = "account_login", "dashboard", "landing"
PASSWORD_RESET_TIMEOUT = 3600

# django-allauth: its pages, with the forms, services and limits of this project
ACCOUNT_ADAPTER = "accounts.web.adapter.AccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = env.choice(
    "ACCOUNT_EMAIL_VERIFICATION", "mandatory" if PRODUCTION else "optional", ("mandatory", "optional")
)
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "username*", "password1*"]
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
# Failures and sign-ups are counted by `accounts.login_throttle`, for the API and the pages together.
ACCOUNT_RATE_LIMITS = {"login": None, "login_failed": None, "signup": None, "reset_password": None}
ACCOUNT_FORMS = {
    "login": "accounts.web.forms.LoginForm",
    "signup": "accounts.web.forms.SignupForm",
    "add_email": "accounts.web.forms.AddEmailForm",
    "change_password": "accounts.web.forms.ChangePasswordForm",
    "reset_password": "accounts.web.forms.ResetPasswordForm",
    "reset_password_from_key": "accounts.web.forms.ResetPasswordKeyForm",
    "reauthenticate": "accounts.web.forms.ReauthenticateForm",
}
MFA_ADAPTER = "accounts.web.adapter.MFAAdapter"
MFA_TOTP_ISSUER = "Zenzefi"
MFA_TOTP_TOLERANCE = 1  # also accept the previous and the next code: clocks differ, and people type slowly
MFA_FORMS = {
    "activate_totp": "accounts.web.forms.ActivateTOTPForm",
    "authenticate": "accounts.web.forms.MFAAuthenticateForm",
    "reauthenticate": "accounts.web.forms.MFAReauthenticateForm",
}
ADMIN_REQUIRE_MFA = env.boolean("ADMIN_REQUIRE_MFA", default=PRODUCTION)

# All cookies of the gateway start with `zenzefi_`: the proxy removes such cookies in both directions.
SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_NAME = "zenzefi_session"
CSRF_COOKIE_NAME = "zenzefi_csrftoken"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = COOKIE_SECURE
LANGUAGE_COOKIE_NAME = "zenzefi_language"
THEME_COOKIE_NAME = "zenzefi_theme"
TIME_ZONE_COOKIE_NAME = "zenzefi_time_zone"
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = COOKIE_SECURE
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Zenzefi <no-reply@localhost>")
globals().update(environ.Env.email_url_config(env.text("EMAIL_URL", "consolemail://")))
