from django.urls import path

from billing.web import history, topup, views

urlpatterns = [
    path("topup", topup.topup, name="topup"),
    path("transactions", history.transactions, name="transactions"),
    path("transactions/statement.csv", history.statement_csv, name="statement"),
    path("payments", history.payments, name="payments"),
    path("pay/mock/<uuid:checkout_id>", views.mock_checkout, name="mock-checkout"),
    path("billing/return/<uuid:payment_id>", topup.payment_return, name="payment-return"),
    path("billing/receipt/<uuid:payment_id>", views.receipt, name="receipt"),
]
