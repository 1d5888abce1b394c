"""Settings, read from the environment and `.env`; `.env.example` documents each one.

One switch, `ENVIRONMENT=demo|production`, decides every rule that holds only in production.
"""

import os
import secrets
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
import environ
import structlog
from celery.schedules import crontab
from cryptography.fernet import Fernet
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _
from whitenoise.compress import Compressor

from zenzefi import env
from zenzefi.common import postgresql

# Lets `ModelAdmin[User]` and the like be written at run time, too.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env.load_dotenv(BASE_DIR / os.environ.get("ENV_FILE", ".env"))

# --- Where and how it runs

ENVIRONMENT = env.choice("ENVIRONMENT", "demo", ("demo", "production"))
PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.boolean("DEBUG", default=False)
DATA_DIR = Path(env.text("DATA_DIR") or BASE_DIR / "var").resolve()

HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8000, low=1, high=65_535)
WORKERS = env.integer("WORKERS", 1, low=1, high=64)
BACKEND_URL = env.url("BACKEND_URL", f"http://127.0.0.1:{PORT}")
ALLOWED_HOSTS = env.words(
    "ALLOWED_HOSTS",
    ",".join({"localhost", "127.0.0.1", "[::1]", urlsplit(BACKEND_URL).hostname or "localhost"}),
)
_backend = urlsplit(BACKEND_URL)
PROXY_HOST = env.host("PROXY_HOST", scheme=_backend.scheme)
if PROXY_HOST:
    _proxy_name = urlsplit(f"//{PROXY_HOST}").hostname
    if _proxy_name == _backend.hostname:
        raise ImproperlyConfigured(
            f"PROXY_HOST={PROXY_HOST!r} is the host of BACKEND_URL: give the upstream a name of its own, or leave "
            "PROXY_HOST empty. Another port is not enough: browsers share cookies between the ports of a host."
        )
    ALLOWED_HOSTS.append(f"[{_proxy_name}]" if ":" in f"{_proxy_name}" else f"{_proxy_name}")
CSRF_TRUSTED_ORIGINS = [BACKEND_URL]
CSRF_FAILURE_VIEW = "zenzefi.api.errors.csrf_failure"
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")

# --- Secrets

_given_secret_key = env.text("SECRET_KEY")
_given_encryption_keys = env.fernet_keys("TOKEN_ENCRYPTION_KEYS")
if not PRODUCTION:
    SECRET_KEY = _given_secret_key or env.generated_secret(DATA_DIR / "secret_key", lambda: secrets.token_urlsafe(64))
    TOKEN_ENCRYPTION_KEYS = _given_encryption_keys or [
        env.generated_secret(DATA_DIR / "token_encryption_key", lambda: Fernet.generate_key().decode())
    ]
else:
    SECRET_KEY, TOKEN_ENCRYPTION_KEYS = _given_secret_key, _given_encryption_keys
if PRODUCTION and not TOKEN_ENCRYPTION_KEYS:
    raise ImproperlyConfigured("ENVIRONMENT=production needs TOKEN_ENCRYPTION_KEYS: one or more Fernet keys.")
# HS256 wants a key of at least 32 bytes (RFC 7518 §3.2).
_shortest = 50 if PRODUCTION else 32
if len(SECRET_KEY) < _shortest:
    raise ImproperlyConfigured(
        f"SECRET_KEY must be given and have at least {_shortest} characters when ENVIRONMENT={ENVIRONMENT}; "
        'make one with `python -c "import secrets; print(secrets.token_urlsafe(64))"`.'
    )

# --- Database, cache, background jobs

DATABASE_URL = env.service_url("DATABASE_URL", "postgres", "POSTGRES", user="postgres", port=5432)
REDIS_URL = env.service_url("REDIS_URL", "redis", "REDIS", user="", port=6379)

DATABASES: dict[str, dict[str, Any]] = {
    "default": environ.Env.db_url_config(DATABASE_URL or f"sqlite:///{DATA_DIR / 'zenzefi.sqlite3'}")
}
SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
DATABASES["default"]["CONN_MAX_AGE"] = 0
if SQLITE:
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 30,  # seconds to wait for the write lock
        "transaction_mode": "IMMEDIATE",  # a writer waits at its start, not in its middle
        # INSERT OR REPLACE deletes; only recursive triggers let the append-only guards see it.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA recursive_triggers=ON;",
    }
    # A file, because a memory database cannot be shared with the threads of a live server.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["OPTIONS"] = {
        "pool": {
            "connection_class": postgresql.Connection,
            "min_size": 1,
            "max_size": 16,
            "timeout": 2,  # seconds to wait for a connection
            "max_waiting": 256,
            # Seconds; its pauses would double. After that, who asks next has it try again.
            "reconnect_timeout": 1,
        },
        "connect_timeout": 2,
        # A host that is gone without a word is noticed within five to ten seconds.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": 5000,
        # Whoever left or vanished in a transaction gives its locks back: a server that is busy for it looks each two
        # seconds, one that waits for it does so for a request's time. With the time zone given, a new connection has
        # nothing to ask before it is of use.
        "options": "-c client_connection_check_interval=2s -c idle_in_transaction_session_timeout=8s -c timezone=UTC",
        **DATABASES["default"].get("OPTIONS", {}),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "zenzefi",
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1},
    }
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
RATE_LIMIT_STORAGE = REDIS_URL or "memory://"

CELERY_BROKER_URL = REDIS_URL or "memory://localhost/"
if REDIS_URL:
    # Longer than a worker's BRPOP waits, and short for a request that sends a job.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 2, "socket_connect_timeout": 2}
    CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # however long it is away
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
HEALTH_CHECK_INTERVAL_SECONDS = 50


def _hourly(minute: int) -> crontab:
    return crontab(minute=str(minute))


CELERY_BEAT_SCHEDULE = {
    "close-idle-sessions": {"task": "proxy.tasks.close_idle_sessions", "schedule": 120},
    "roll-up-usage": {"task": "proxy.tasks.roll_up_usage", "schedule": 30},
    "check-health": {"task": "proxy.tasks.check_health", "schedule": HEALTH_CHECK_INTERVAL_SECONDS},
    "expire-tokens": {"task": "access.tasks.expire_tokens", "schedule": 60},
    "forget-denials": {"task": "proxy.tasks.forget_denials", "schedule": crontab(hour="4", minute="27")},
    "forget-deleted-users": {"task": "proxy.tasks.forget_deleted_users", "schedule": _hourly(7)},
    "forget-idempotency-keys": {"task": "billing.tasks.forget_idempotency_keys", "schedule": _hourly(17)},
    "forget-logins": {"task": "accounts.tasks.forget_logins", "schedule": _hourly(37)},
    "prove-ledger": {"task": "billing.tasks.prove_ledger", "schedule": crontab(hour="3", minute="7")},
    "poll-payments": {"task": "billing.tasks.poll_payments", "schedule": 60},
    "forget-revocations": {"task": "access.tasks.forget_revocations", "schedule": _hourly(57)},
}

# --- What is sold

TOKEN_PRICES = {
    1: env.money("TOKEN_PRICE_1H", "1"),
    12: env.money("TOKEN_PRICE_12H", "10"),
    24: env.money("TOKEN_PRICE_24H", "18"),
    168: env.money("TOKEN_PRICE_7D", "100"),
    720: env.money("TOKEN_PRICE_30D", "300"),
}
MAX_DEPOSIT = env.money("MAX_DEPOSIT", "100000")
# The first is the default; an API call may choose another.
PAYMENT_PROVIDERS = env.providers("PAYMENT_PROVIDER", "" if PRODUCTION else "mock", ("mock", "stripe", "yookassa"))
PAYMENT_CURRENCY = env.currency("PAYMENT_CURRENCY", "EUR")
ZNC_PRICE = env.price("ZNC_PRICE", "1")
STRIPE_SECRET_KEY = env.secret(
    "STRIPE_SECRET_KEY", r"(sk|rk)_(test|live)_\w+", "a secret or restricted key of Stripe, such as sk_live_…"
)
STRIPE_WEBHOOK_SECRETS = env.secret_words(
    "STRIPE_WEBHOOK_SECRETS", r"whsec_\S+", "the signing secret of a webhook endpoint at Stripe, such as whsec_…"
)
YOOKASSA_SHOP_ID = env.secret("YOOKASSA_SHOP_ID", r"\d+", "the number of a shop at YooKassa (shopId)")
YOOKASSA_SECRET_KEY = env.secret(
    "YOOKASSA_SECRET_KEY", r"(test|live)_\S+", "a secret key of YooKassa, such as live_…"
)
DEVICE_RESETS_PER_DAY = env.integer("DEVICE_RESETS_PER_DAY", 3, low=0, high=1000)

# --- Limits

RATE_LIMIT_AUTH = env.rate("RATE_LIMIT_AUTH", "5/hour")
RATE_LIMIT_API = env.rate("RATE_LIMIT_API", "100/minute")
RATE_LIMIT_PROXY = env.rate("RATE_LIMIT_PROXY", "6000/minute")
MAX_CONNECTIONS_PER_TOKEN = env.integer("MAX_CONNECTIONS_PER_TOKEN", 256, low=1, high=100_000)
API_MAX_BODY_BYTES = 1024 * 1024
# Headroom over the API's own limit for the forms of the site and the admin.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * API_MAX_BODY_BYTES

# --- The upstream and the data plane

DEMO_UPSTREAM_PORT = env.integer("DEMO_UPSTREAM_PORT", 8001, low=1, high=65_535)
_target = env.url("ZENZEFI_TARGET_URL")
DEMO_UPSTREAM = not _target and not PRODUCTION
ZENZEFI_TARGET_URL = _target or (f"http://127.0.0.1:{DEMO_UPSTREAM_PORT}" if DEMO_UPSTREAM else "")
ZENZEFI_VERIFY_TLS = env.boolean("ZENZEFI_VERIFY_TLS", default=True)
ZENZEFI_CA_FILE = env.authorities("ZENZEFI_CA_FILE")
ZENZEFI_CLIENT_CERT = env.client_certificate("ZENZEFI_CLIENT_CERT", key_name="ZENZEFI_CLIENT_KEY")
ZENZEFI_CLIENT_KEY = env.existing_file("ZENZEFI_CLIENT_KEY")
UPSTREAM_CONNECT_TIMEOUT = env.seconds("UPSTREAM_CONNECT_TIMEOUT", 5)
UPSTREAM_TIMEOUT = env.seconds("UPSTREAM_TIMEOUT", 60)
MAX_HEADER_BYTES = env.integer("MAX_HEADER_BYTES", 32 * 1024, low=4096, high=2**20)
HEADER_TIMEOUT_SECONDS = env.seconds("HEADER_TIMEOUT_SECONDS", 10)
CLIENT_BODY_TIMEOUT = env.seconds("CLIENT_BODY_TIMEOUT", 30)
SESSION_TIMEOUT_SECONDS = env.integer("SESSION_TIMEOUT_SECONDS", 300, low=1, high=86_400)
WEBSOCKET_MAX_MESSAGE_BYTES = env.integer("WEBSOCKET_MAX_MESSAGE_BYTES", 16 * 2**20, low=1024, high=2**30)
DRAIN_DELAY = env.integer("DRAIN_DELAY", 5 if PRODUCTION else 0, low=0, high=600)
DRAIN_SECONDS = env.integer("DRAIN_SECONDS", 25, low=0, high=3600)
MAINTENANCE = env.boolean("MAINTENANCE", default=False)
COOKIE_SECURE = env.boolean("COOKIE_SECURE", default=PRODUCTION)
COOKIE_SAMESITE = env.choice("COOKIE_SAMESITE", "Lax", ("Strict", "Lax", "None"))

# --- Refuse what cannot work, and what production must not have

_needed: dict[str, dict[str, str | list[str]]] = {
    "stripe": {"STRIPE_SECRET_KEY": STRIPE_SECRET_KEY, "STRIPE_WEBHOOK_SECRETS": STRIPE_WEBHOOK_SECRETS},
    "yookassa": {"YOOKASSA_SHOP_ID": YOOKASSA_SHOP_ID, "YOOKASSA_SECRET_KEY": YOOKASSA_SECRET_KEY},
}
for _provider in PAYMENT_PROVIDERS:
    for _name, _value in _needed.get(_provider, {}).items():
        if not _value:
            raise ImproperlyConfigured(
                f"PAYMENT_PROVIDER names {_provider}, which needs {_name}: docs/payments.md says where to find it."
            )
# Whether nobody pays real money there.
_for_tests = {
    "mock": True,
    "stripe": "_test_" in STRIPE_SECRET_KEY,
    "yookassa": YOOKASSA_SECRET_KEY.startswith("test_"),
}
if len({_for_tests[_provider] for _provider in PAYMENT_PROVIDERS}) > 1:
    raise ImproperlyConfigured(
        f"PAYMENT_PROVIDER={','.join(PAYMENT_PROVIDERS)} offers real and test payments together, for the same "
        "credits: give live keys to all or test keys to all, and mock only beside test keys."
    )
if PRODUCTION:
    _refusals = {
        "DEBUG=true shows internals to strangers": DEBUG,
        "SQLite cannot serve production, set DATABASE_URL or POSTGRES_SERVER to a PostgreSQL server": SQLITE,
        "ALLOWED_HOSTS must name the hosts, not '*'": any("*" in host for host in ALLOWED_HOSTS),
        "PAYMENT_PROVIDER=mock gives credits away": "mock" in PAYMENT_PROVIDERS,
        # Also of one that is not offered any more: what its webhooks say is believed.
        "test keys of a payment provider give credits away, set its live ones": any(
            _for_tests[_provider] for _provider in _needed
        ),
        "ZENZEFI_TARGET_URL must name the upstream": not ZENZEFI_TARGET_URL,
    }
    for _sentence, _holds in _refusals.items():
        if _holds:
            raise ImproperlyConfigured(f"ENVIRONMENT=production: {_sentence}.")
if WORKERS > 1 and not REDIS_URL:
    raise ImproperlyConfigured(
        f"WORKERS={WORKERS} needs REDIS_URL: without Redis each worker would count devices and rates alone."
    )

# --- Django

INSTALLED_APPS = [
    "daphne",  # before staticfiles: it replaces runserver
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
    "django.forms",  # its templates, for FORM_RENDERER
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

# django-allauth: its pages with this project's forms, services and limits
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
MFA_TOTP_TOLERANCE = 1  # a code before and one after: clocks differ, and people type slowly
MFA_FORMS = {
    "activate_totp": "accounts.web.forms.ActivateTOTPForm",
    "authenticate": "accounts.web.forms.MFAAuthenticateForm",
    "reauthenticate": "accounts.web.forms.MFAReauthenticateForm",
}
ADMIN_REQUIRE_MFA = env.boolean("ADMIN_REQUIRE_MFA", default=PRODUCTION)

# Every cookie of the gateway has this prefix: such a cookie never reaches the upstream, nor comes from it.
SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_NAME = "zenzefi_session"
CSRF_COOKIE_NAME = "zenzefi_csrftoken"
LANGUAGE_COOKIE_NAME = "zenzefi_language"
THEME_COOKIE_NAME = "zenzefi_theme"
TIME_ZONE_COOKIE_NAME = "zenzefi_time_zone"
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = COOKIE_SECURE
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

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

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = COOKIE_SECURE
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
        # Chromium holds a form to this along its redirects too: top-ups lead to a provider's checkout.
        "form-action": [SELF, BACKEND_URL, *(_CHECKOUTS[name] for name in PAYMENT_PROVIDERS if name in _CHECKOUTS)],
    }
}
if PRODUCTION:
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^api/", r"^metrics$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True

DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Zenzefi <no-reply@localhost>")
globals().update(environ.Env.email_url_config(env.text("EMAIL_URL", "consolemail://")))

# --- API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api.api_token_authentication.ApiTokenAuthentication",
        "rest_framework_simplejwt.authentication.JWTAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["zenzefi.api.json.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["zenzefi.api.json.JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "zenzefi.api.json.AlwaysJSON",
    "DEFAULT_PAGINATION_CLASS": "zenzefi.api.pagination.Pagination",
    "DEFAULT_THROTTLE_CLASSES": ["zenzefi.api.throttling.ApiThrottle"],
    "DEFAULT_SCHEMA_CLASS": "zenzefi.api.schema.AutoSchema",
    "EXCEPTION_HANDLER": "zenzefi.api.errors.exception_handler",
    "COERCE_DECIMAL_TO_STRING": False,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "TEST_REQUEST_RENDERER_CLASSES": ["zenzefi.api.json.JSONRenderer"],
}
ACCESS_TOKEN_EXPIRE_MINUTES = env.integer("ACCESS_TOKEN_EXPIRE_MINUTES", 60, low=1, high=1440)
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=ACCESS_TOKEN_EXPIRE_MINUTES),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=30),
    "ALGORITHM": "HS256",
    "SIGNING_KEY": SECRET_KEY,
    "USER_ID_CLAIM": "sub",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Zenzefi API",
    "DESCRIPTION": "Accounts, credits and access tokens. docs/proxy describes the proxied path.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {"TransactionTypeEnum": "billing.models.TransactionType"},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- Logs: one JSON object a line, with the request's id

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": [
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        }
    },
    "filters": {
        "brief": {"()": "zenzefi.common.logging_filters.Brief"},
        "sparse": {"()": "zenzefi.common.logging_filters.Sparse"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        **{name: {"level": "INFO"} for name in ("accounts", "billing", "access", "proxy", "zenzefi")},
        # A client's mistake is no event of ours, and would let it write our log.
        "django.request": {"level": "ERROR", "filters": ["brief"]},
        # What was to be sent after a commit, and could not.
        "django.db.backends.base": {"filters": ["brief"]},
        "django.security": {"level": "CRITICAL"},
        # A line for each request that is no HTTP.
        "uvicorn.error": {"filters": ["sparse"]},
    },
}
