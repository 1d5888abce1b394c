from django.urls import path, re_path

from proxy.web import connect, denied, token, usage

urlpatterns = [
    path("connect", connect.connect, name="connect"),
    path("tokens/<uuid:token_id>", token.token_page, name="token"),
    path("tokens/<uuid:token_id>/live", token.token_live, name="token-live"),
    path("tokens/<uuid:token_id>/bought", token.token_bought, name="token-bought"),
    path("tokens/<uuid:token_id>/open", token.open_in_browser, name="token-open"),
    path("usage", usage.usage_page, name="usage"),
    path("usage/usage.csv", usage.usage_csv, name="usage-csv"),
    path("denied", denied.denials, name="denials"),
    re_path(r"^denied/(?P<request_id>[A-Za-z0-9._-]{8,128})$", denied.denied, name="denied"),
]
