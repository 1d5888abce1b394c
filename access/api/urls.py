from django.urls import path

from access.api import tariffs, tokens
from access.api.admin import tariffs as admin_tariffs
from access.api.admin import tokens as admin_tokens
from access.api.admin import users as admin_users

urlpatterns = [
    path("tariffs", tariffs.TariffList.as_view()),
    path("tariffs/<uuid:pk>", tariffs.TariffDetail.as_view()),
    path("tokens/purchase", tokens.Purchase.as_view()),
    path("tokens/my-tokens", tokens.MyTokens.as_view()),
    path("tokens/validate", tokens.Validate.as_view()),
    path("tokens/<uuid:token_id>", tokens.Token.as_view()),
    path("tokens/<uuid:token_id>/extend", tokens.Extend.as_view()),
    path("tokens/<uuid:token_id>/refund-quote", tokens.RefundQuote.as_view()),
    path("tokens/<uuid:token_id>/reset-device", tokens.ResetDevice.as_view()),
    path("admin/users", admin_users.Users.as_view()),
    path("admin/users/<uuid:user_id>", admin_users.UserDetail.as_view()),
    path("admin/tokens", admin_tokens.Tokens.as_view()),
    path("admin/tokens/<uuid:token_id>", admin_tokens.TokenDetail.as_view()),
    path("admin/tariffs", admin_tariffs.Tariffs.as_view()),
    path("admin/tariffs/<uuid:tariff_id>", admin_tariffs.TariffDetail.as_view()),
]
