from django.urls import path

from billing.web import views

urlpatterns = [
    path("pay/mock/<uuid:checkout_id>", views.mock_checkout, name="mock-checkout"),
    path("billing/return/<uuid:payment_id>", views.payment_return, name="payment-return"),
    path("billing/receipt/<uuid:payment_id>", views.receipt, name="receipt"),
]
