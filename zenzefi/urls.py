"""URLs of the control plane. Requests for the data plane and `/health` do not reach it (`zenzefi.asgi`)."""

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularRedocView, SpectacularSwaggerSplitView

from zenzefi.metrics import metrics

# Redoc writes styles into its page and creates a worker for its search. It may load from this host only; otherwise it
# would fetch the logo of its maker from the network.
REDOC = {"style-src": [SELF, UNSAFE_INLINE], "worker-src": [SELF, "blob:"]}

urlpatterns = [
    path("", include("zenzefi.web.urls")),
    path("admin/", admin.site.urls),
    path("", include("billing.web.urls")),
    path("accounts/", include("accounts.web.urls")),
    path("", include("access.web.urls")),
    path("", include("proxy.web.urls")),
    path("api/v1/", include("zenzefi.api.urls")),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(), name="docs"),
    path("redoc", csp_update(REDOC)(SpectacularRedocView.as_view()), name="redoc"),
    path("metrics", metrics, name="metrics"),
]

handler400 = "zenzefi.api.errors.bad_request"
handler403 = "zenzefi.api.errors.permission_denied"
handler404 = "zenzefi.api.errors.not_found"
handler429 = "zenzefi.api.errors.too_many_requests"  # used by allauth
handler500 = "zenzefi.api.errors.server_error"
