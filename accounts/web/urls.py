"""`/accounts/`: the pages of django-allauth, some of them replaced, and those of the profile."""

from allauth.account import urls as account_urls
from allauth.mfa import urls as mfa_urls
from django.urls import include, path, re_path

from accounts.web import api_tokens, auth_views, logins, profile

urlpatterns = [
    # These replace allauth's views at the same paths, so they come first.
    path("login/", auth_views.LoginView.as_view(), name="account_login"),
    path("signup/", auth_views.SignupView.as_view(), name="account_signup"),
    path("email/", auth_views.EmailView.as_view(), name="account_email"),
    path("password/change/", auth_views.PasswordChangeView.as_view(), name="account_change_password"),
    path("password/reset/", auth_views.PasswordResetView.as_view(), name="account_reset_password"),
    re_path(
        r"^confirm-email/(?P<key>[-:\w]+)/$", auth_views.ConfirmEmailView.as_view(), name="account_confirm_email"
    ),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        auth_views.PasswordResetFromKeyView.as_view(),
        name="account_reset_password_from_key",
    ),
    path("reauthenticate/", auth_views.ReauthenticateView.as_view(), name="account_reauthenticate"),
    path("2fa/authenticate/", auth_views.MFAAuthenticateView.as_view(), name="mfa_authenticate"),
    path("2fa/reauthenticate/", auth_views.MFAReauthenticateView.as_view(), name="mfa_reauthenticate"),
    path(
        "2fa/recovery-codes/download/",
        auth_views.DownloadRecoveryCodesView.as_view(),
        name="mfa_download_recovery_codes",
    ),
    path("", include(account_urls)),
    path("2fa/", include(mfa_urls)),
    path("profile/", profile.profile, name="profile"),
    path("logins/", logins.logins_page, name="logins"),
    path("api-tokens/", api_tokens.api_tokens_page, name="api-tokens-page"),
    path("api-tokens/<uuid:token_id>/delete/", api_tokens.delete_api_token, name="api-token-delete"),
]
