from django.urls import path

from zenzefi.web import account, dashboard, views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("dashboard", dashboard.dashboard, name="dashboard"),
    path("language", views.set_language, name="set-language"),
    path("accounts/delete/", account.delete, name="account-delete"),
    path("accounts/data/", account.personal_data, name="personal-data"),
    path("theme", views.set_theme, name="set-theme"),
]
