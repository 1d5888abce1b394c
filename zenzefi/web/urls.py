from django.urls import path

from zenzefi.web import views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("language", views.set_language, name="set-language"),
    path("theme", views.set_theme, name="set-theme"),
]
