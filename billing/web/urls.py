from django.urls import path

from billing.web import mock_checkouts, payments, receipts, topups, transactions

urlpatterns = [
    path("topup", topups.topup, name="topup"),
    path("transactions", transactions.transaction_list, name="transactions"),
    path("transactions/statement.csv", transactions.statement_csv, name="statement"),
    path("payments", payments.payment_list, name="payments"),
    path("pay/mock/<uuid:checkout_id>", mock_checkouts.mock_checkout, name="mock-checkout"),
    path("billing/return/<uuid:payment_id>", payments.payment_return, name="payment-return"),
    path("billing/receipt/<uuid:payment_id>", receipts.receipt, name="receipt"),
]
