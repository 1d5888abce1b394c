from django.urls import path

from proxy.api import usage

urlpatterns = [
    path("usage", usage.UsageView.as_view()),
]
