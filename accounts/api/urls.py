from django.urls import path

from accounts.api import api_tokens, auth, profile

urlpatterns = [
    path("auth/register", auth.RegisterView.as_view(), name="register"),
    path("auth/login", auth.LoginView.as_view(), name="login"),
    path("auth/refresh", auth.RefreshView.as_view(), name="refresh"),
    path("auth/logout", auth.LogoutView.as_view(), name="logout"),
    path("users/me", profile.ProfileView.as_view(), name="me"),
    path("api-tokens", api_tokens.ApiTokensView.as_view(), name="api-tokens"),
    path("api-tokens/<uuid:token_id>", api_tokens.ApiTokenView.as_view(), name="api-token"),
]
