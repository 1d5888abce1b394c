from django.urls import path

from billing.web import views

urlpatterns = [
    path("mock/<uuid:payment_id>", views.mock_checkout, name="mock-checkout"),
]
