"""`/api/v1`: the apps' own URLs; what no app knows is a JSON 404."""

from django.urls import include, path

urlpatterns = [
    path("", include("accounts.api.urls")),
    path("", include("billing.api.urls")),
    path("", include("access.api.urls")),
    path("", include("proxy.api.urls")),
]
