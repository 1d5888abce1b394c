from django.urls import path

from access.api import tariffs, tokens
from access.api.admin import tariffs as admin_tariffs
from access.api.admin import tokens as admin_tokens

urlpatterns = [
    path("tariffs", tariffs.TariffsView.as_view()),
    path("tariffs/<uuid:pk>", tariffs.TariffView.as_view()),
    path("tokens/purchase", tokens.TokenPurchaseView.as_view()),
    path("tokens/my-tokens", tokens.MyTokensView.as_view()),
    path("tokens/validate", tokens.TokenValidationView.as_view()),
    path("tokens/<uuid:token_id>", tokens.TokenView.as_view()),
    path("tokens/<uuid:token_id>/extend", tokens.TokenExtensionView.as_view()),
    path("tokens/<uuid:token_id>/refund-quote", tokens.RefundQuoteView.as_view()),
    path("tokens/<uuid:token_id>/reset-device", tokens.DeviceResetView.as_view()),
    path("admin/tokens", admin_tokens.AdminTokensView.as_view()),
    path("admin/tokens/<uuid:token_id>", admin_tokens.AdminTokenView.as_view()),
    path("admin/tariffs", admin_tariffs.AdminTariffsView.as_view()),
    path("admin/tariffs/<uuid:tariff_id>", admin_tariffs.AdminTariffView.as_view()),
]
