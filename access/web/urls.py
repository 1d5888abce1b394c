from django.urls import path

from access.web import purchase, tokens

urlpatterns = [
    path("tokens", tokens.token_list, name="tokens"),
    path("tokens/buy", purchase.buy, name="token-buy"),
    path("tokens/<uuid:token_id>/reveal", tokens.reveal, name="token-reveal"),
    path("tokens/<uuid:token_id>/extend", tokens.extend, name="token-extend"),
    path("tokens/<uuid:token_id>/revoke", tokens.revoke, name="token-revoke"),
    path("tokens/<uuid:token_id>/refund-quote", tokens.refund_quote, name="token-refund-quote"),
    path("tokens/<uuid:token_id>/reset-device", tokens.reset_device, name="token-reset-device"),
]
