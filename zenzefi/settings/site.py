"""Django's part of the control plane: applications, middleware, templates, static files, security headers."""

from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _
from whitenoise.compress import Compressor

from zenzefi import env
from zenzefi.settings.deployment import BACKEND_URL, BASE_DIR, DATA_DIR, PRODUCTION
from zenzefi.settings.payments import PAYMENT_PROVIDERS

INSTALLED_APPS = [
    "daphne",  # before staticfiles, because it replaces runserver
    "accounts.admin_config.OperatorsConfig",  # django.contrib.admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_prometheus",
    "channels",
    "csp",
    "django.forms",  # for the templates of FORM_RENDERER
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "accounts",
    "billing",
    "access",
    "proxy",
    "zenzefi.common",
    "zenzefi",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "zenzefi.web.static_files.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "zenzefi.web.middleware.SiteMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "zenzefi.urls"
ASGI_APPLICATION = "zenzefi.asgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "zenzefi.web.context.frame",
            ]
        },
    }
]
FORM_RENDERER = "zenzefi.web.forms.SiteRenderer"
CSRF_TRUSTED_ORIGINS = [BACKEND_URL]
CSRF_FAILURE_VIEW = "zenzefi.api.errors.csrf_failure"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ru", _("Russian"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = env.text("STATIC_ROOT") or str(DATA_DIR / "static")
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "zenzefi.runtime.static_files.CollectedStorage"},
}
# Source maps are large and only read by developer tools.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = [*Compressor.SKIP_COMPRESS_EXTENSIONS, "map"]

SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
_CHECKOUTS = {"stripe": "https://checkout.stripe.com", "yookassa": "https://yoomoney.ru"}
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        # Chromium applies this to redirects of a form, too, and top-ups redirect to the checkout of a provider.
        "form-action": [SELF, BACKEND_URL, *(_CHECKOUTS[name] for name in PAYMENT_PROVIDERS if name in _CHECKOUTS)],
    }
}
if PRODUCTION:
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^api/", r"^metrics$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
