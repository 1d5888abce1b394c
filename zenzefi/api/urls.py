"""URLs of the API, `/api/v1`. Any other path is a 404 in JSON."""

from django.urls import include, path

urlpatterns = [
    path("", include("accounts.api.urls")),
    path("", include("billing.api.urls")),
    path("", include("access.api.urls")),
    path("", include("proxy.api.urls")),
]
