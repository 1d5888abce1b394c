"""A list of all pages of the site, for the checks of accessibility, weight and queries, and for the screenshots.

A new page is one line here. `{names}` in a path are filled in from `scenery.build()`.
"""

from dataclasses import dataclass
from typing import Any

# Options of a browser context, for tests that check a page in both looks.
LOOKS: dict[str, dict[str, Any]] = {
    "desktop, light, English": {"width": 1280, "color_scheme": "light", "locale": "en-GB"},
    "phone, dark, Russian": {"width": 390, "color_scheme": "dark", "locale": "ru-RU"},
}
ANYONE, CUSTOMER, NEWCOMER, OPERATOR = "anyone", "customer", "newcomer", "operator"


@dataclass(frozen=True)
class SitePage:
    """A page, and the user who opens it: a visitor, a customer with or without a history, or an operator."""

    name: str
    path: str
    who: str = ANYONE
    status: int = 200


PAGES = [
    SitePage("landing", "/"),
    SitePage("landing-signed-in", "/", CUSTOMER),
    SitePage("error-404", "/nothing", status=404),
    SitePage("checkout", "/pay/mock/{checkout}"),
    SitePage("login", "/accounts/login/"),
    SitePage("signup", "/accounts/signup/"),
    SitePage("logout", "/accounts/logout/", CUSTOMER),
    SitePage("confirmation-sent", "/accounts/confirm-email/"),
    SitePage("confirmation", "/accounts/confirm-email/{confirmation}/"),
    SitePage("confirmation-old", "/accounts/confirm-email/old/"),
    SitePage("password-reset", "/accounts/password/reset/"),
    SitePage("password-reset-sent", "/accounts/password/reset/done/"),
    SitePage("password-reset-old", "/accounts/password/reset/key/x-old/"),
    SitePage("password-reset-done", "/accounts/password/reset/key/done/"),
    SitePage("profile", "/accounts/profile/", CUSTOMER),
    SitePage("email", "/accounts/email/", NEWCOMER),
    SitePage("password-change", "/accounts/password/change/", CUSTOMER),
    SitePage("password-again", "/accounts/reauthenticate/", CUSTOMER),
    SitePage("code-again", "/accounts/2fa/reauthenticate/", OPERATOR),
    SitePage("second-factor", "/accounts/2fa/", OPERATOR),
    SitePage("second-factor-set-up", "/accounts/2fa/totp/activate/", CUSTOMER),
    SitePage("second-factor-turn-off", "/accounts/2fa/totp/deactivate/", OPERATOR),
    SitePage("recovery-codes", "/accounts/2fa/recovery-codes/", OPERATOR),
    SitePage("recovery-codes-new", "/accounts/2fa/recovery-codes/generate/", OPERATOR),
    SitePage("logins", "/accounts/logins/", CUSTOMER),
    SitePage("api-tokens", "/accounts/api-tokens/", CUSTOMER),
    SitePage("api-tokens-none", "/accounts/api-tokens/", NEWCOMER),
    SitePage("api-token-delete", "/accounts/api-tokens/{api_token}/delete/", CUSTOMER),
    SitePage("personal-data", "/accounts/data/", CUSTOMER),
    SitePage("account-delete", "/accounts/delete/", CUSTOMER),
    SitePage("dashboard", "/dashboard", CUSTOMER),
    SitePage("dashboard-new", "/dashboard", NEWCOMER),
    SitePage("tokens", "/tokens", CUSTOMER),
    SitePage("tokens-none", "/tokens", NEWCOMER),
    SitePage("token", "/tokens/{token}", CUSTOMER),
    SitePage("token-revoked", "/tokens/{revoked}", CUSTOMER),
    SitePage("token-reveal", "/tokens/{token}/reveal", CUSTOMER),
    SitePage("token-bought", "/tokens/{token}/bought", CUSTOMER),
    SitePage("token-buy", "/tokens/buy", CUSTOMER),
    SitePage("token-buy-short", "/tokens/buy?scope=full&duration_hours=168", NEWCOMER),
    SitePage("token-extend", "/tokens/{token}/extend", CUSTOMER),
    SitePage("token-revoke", "/tokens/{token}/revoke", CUSTOMER),
    SitePage("token-reset-device", "/tokens/{token}/reset-device", CUSTOMER),
    SitePage("topup", "/topup?amount=25&next=/tokens/buy", CUSTOMER),
    SitePage("payment-waiting", "/billing/return/{payment}", CUSTOMER),
    SitePage("payment-declined", "/billing/return/{declined}", CUSTOMER),
    SitePage("transactions", "/transactions", CUSTOMER),
    SitePage("transactions-none", "/transactions", NEWCOMER),
    SitePage("payments", "/payments", CUSTOMER),
    SitePage("payments-none", "/payments", NEWCOMER),
    SitePage("receipt", "/billing/receipt/{paid}", CUSTOMER),
    SitePage("connect", "/connect", CUSTOMER),
    SitePage("connect-none", "/connect", NEWCOMER),
    SitePage("usage", "/usage", CUSTOMER),
    SitePage("usage-day", "/usage?period=day", CUSTOMER),
    SitePage("usage-empty", "/usage", NEWCOMER),
    SitePage("denials", "/denied", CUSTOMER),
    SitePage("denials-empty", "/denied", NEWCOMER),
    SitePage("denied", "/denied/{denial}", CUSTOMER),
    SitePage("denied-of-another", "/denied/{denial}"),
    SitePage("denied-unknown", "/denied/nothing-known?lookups=5", status=404),
]

# Served by the data plane without Django, so there are no queries to count.
OUTSIDE = [SitePage("status", "/health")]
