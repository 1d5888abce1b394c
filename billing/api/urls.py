from django.urls import path

from billing.api import statements, views

urlpatterns = [
    path("currency/balance", views.BalanceView.as_view()),
    path("currency/transactions", views.TransactionsView.as_view()),
    path("currency/statement", statements.StatementView.as_view()),
    path("currency/purchase", views.PurchaseView.as_view()),
    path("currency/mock-purchase", views.MockPurchaseView.as_view()),
    path("currency/payments", views.PaymentsView.as_view()),
    path("currency/payments/<uuid:payment_id>", views.PaymentView.as_view()),
    path("currency/webhooks/<str:provider>", views.WebhookView.as_view()),
]
