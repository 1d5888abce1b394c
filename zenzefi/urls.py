"""The control plane's URLs. The data plane and `/health` never come here (`zenzefi.asgi`)."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularRedocView, SpectacularSwaggerView

from zenzefi.metrics import metrics

urlpatterns = [
    path("", include("zenzefi.web.urls")),
    path("admin/", admin.site.urls),
    path("", include("billing.web.urls")),
    path("accounts/", include("accounts.web.urls")),
    path("api/v1/", include("zenzefi.api.urls")),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerView.as_view(), name="docs"),
    path("redoc", SpectacularRedocView.as_view(), name="redoc"),
    path("metrics", metrics, name="metrics"),
]

handler400 = "zenzefi.api.errors.bad_request"
handler403 = "zenzefi.api.errors.permission_denied"
handler404 = "zenzefi.api.errors.not_found"
handler500 = "zenzefi.api.errors.server_error"
