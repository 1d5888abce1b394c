from django.urls import path

from billing.api import balance, payments, statements, topups, transactions, webhooks
from billing.api.admin import users as admin_users

urlpatterns = [
    path("currency/balance", balance.BalanceView.as_view()),
    path("currency/transactions", transactions.TransactionsView.as_view()),
    path("currency/statement", statements.StatementView.as_view()),
    path("currency/purchase", topups.PurchaseView.as_view()),
    path("currency/mock-purchase", topups.MockPurchaseView.as_view()),
    path("currency/payments", payments.PaymentsView.as_view()),
    path("currency/payments/<uuid:payment_id>", payments.PaymentView.as_view()),
    path("currency/webhooks/<str:provider>", webhooks.WebhookView.as_view()),
    path("admin/users", admin_users.AdminUsersView.as_view()),
    path("admin/users/<uuid:user_id>", admin_users.AdminUserView.as_view()),
]
