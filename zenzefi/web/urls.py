"""URLs of the site's own pages."""

from django.urls import path

from zenzefi.web import account_deletion, dashboard, landing, personal_data, preferences

urlpatterns = [
    path("", landing.landing, name="landing"),
    path("dashboard", dashboard.dashboard, name="dashboard"),
    path("language", preferences.set_language, name="set-language"),
    path("accounts/delete/", account_deletion.delete, name="account-delete"),
    path("accounts/data/", personal_data.personal_data, name="personal-data"),
    path("theme", preferences.set_theme, name="set-theme"),
]
