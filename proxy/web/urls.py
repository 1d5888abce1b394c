from django.urls import path

from proxy.web import connect, token

urlpatterns = [
    path("connect", connect.connect, name="connect"),
    path("tokens/<uuid:token_id>", token.token_page, name="token"),
    path("tokens/<uuid:token_id>/live", token.token_live, name="token-live"),
    path("tokens/<uuid:token_id>/bought", token.token_bought, name="token-bought"),
    path("tokens/<uuid:token_id>/open", token.open_in_browser, name="token-open"),
]
