from django.urls import path

from accounts.api import api_tokens, views

urlpatterns = [
    path("auth/register", views.RegisterView.as_view(), name="register"),
    path("auth/login", views.LoginView.as_view(), name="login"),
    path("auth/refresh", views.RefreshView.as_view(), name="refresh"),
    path("auth/logout", views.LogoutView.as_view(), name="logout"),
    path("users/me", views.MeView.as_view(), name="me"),
    path("api-tokens", api_tokens.ApiTokens.as_view(), name="api-tokens"),
    path("api-tokens/<uuid:token_id>", api_tokens.ApiTokenDetail.as_view(), name="api-token"),
]
