from django.urls import path, re_path

from proxy.web import connect, denials, tokens, usage

urlpatterns = [
    path("connect", connect.connect, name="connect"),
    path("tokens/<uuid:token_id>", tokens.token_page, name="token"),
    path("tokens/<uuid:token_id>/live", tokens.token_live, name="token-live"),
    path("tokens/<uuid:token_id>/bought", tokens.token_bought, name="token-bought"),
    path("tokens/<uuid:token_id>/open", tokens.open_in_browser, name="token-open"),
    path("usage", usage.usage_page, name="usage"),
    path("usage/usage.csv", usage.usage_csv, name="usage-csv"),
    path("denied", denials.denials, name="denials"),
    re_path(r"^denied/(?P<request_id>[A-Za-z0-9._-]{8,128})$", denials.denied, name="denied"),
]
