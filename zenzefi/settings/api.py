"""The API: Django REST framework, JWTs and the OpenAPI schema."""

from datetime import timedelta

from zenzefi import env
from zenzefi.settings.keys import SECRET_KEY

API_MAX_BODY_BYTES = 1024 * 1024
# Headroom over the API's own limit for the forms of the site and the admin.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * API_MAX_BODY_BYTES

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
