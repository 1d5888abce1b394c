"""Prices, and the providers through which users pay."""

from django.core.exceptions import ImproperlyConfigured

from zenzefi import env
from zenzefi.settings.deployment import PRODUCTION

TOKEN_PRICES = {
    1: env.money("TOKEN_PRICE_1H", "1"),
    12: env.money("TOKEN_PRICE_12H", "10"),
    24: env.money("TOKEN_PRICE_24H", "18"),
    168: env.money("TOKEN_PRICE_7D", "100"),
    720: env.money("TOKEN_PRICE_30D", "300"),
}
MAX_DEPOSIT = env.money("MAX_DEPOSIT", "100000")
# The first is the default; a call of the API may choose another.
PAYMENT_PROVIDERS = env.providers("PAYMENT_PROVIDER", "" if PRODUCTION else "mock", ("mock", "stripe", "yookassa"))
PAYMENT_CURRENCY = env.currency("PAYMENT_CURRENCY", "EUR")
ZNC_PRICE = env.price("ZNC_PRICE", "1")
STRIPE_SECRET_KEY = env.secret(
    "STRIPE_SECRET_KEY", r"(sk|rk)_(test|live)_\w+", "a secret or restricted key of Stripe, such as sk_live_…"
)
STRIPE_WEBHOOK_SECRETS = env.secret_words(
    "STRIPE_WEBHOOK_SECRETS", r"whsec_\S+", "the signing secret of a webhook endpoint at Stripe, such as whsec_…"
)
YOOKASSA_SHOP_ID = env.secret("YOOKASSA_SHOP_ID", r"\d+", "the number of a shop at YooKassa (shopId)")
YOOKASSA_SECRET_KEY = env.secret(
    "YOOKASSA_SECRET_KEY", r"(test|live)_\S+", "a secret key of YooKassa, such as live_…"
)

_needed: dict[str, dict[str, str | list[str]]] = {
    "stripe": {"STRIPE_SECRET_KEY": STRIPE_SECRET_KEY, "STRIPE_WEBHOOK_SECRETS": STRIPE_WEBHOOK_SECRETS},
    "yookassa": {"YOOKASSA_SHOP_ID": YOOKASSA_SHOP_ID, "YOOKASSA_SECRET_KEY": YOOKASSA_SECRET_KEY},
}
for _provider in PAYMENT_PROVIDERS:
    for _name, _value in _needed.get(_provider, {}).items():
        if not _value:
            raise ImproperlyConfigured(
                f"PAYMENT_PROVIDER={_provider} needs {_name}. docs/payments.md says where to find it."
            )
# Providers whose keys are for tests, so that no real money is paid.
TEST_KEYS = {
    "mock": True,
    "stripe": "_test_" in STRIPE_SECRET_KEY,
    "yookassa": YOOKASSA_SECRET_KEY.startswith("test_"),
}
if len({TEST_KEYS[_provider] for _provider in PAYMENT_PROVIDERS}) > 1:
    raise ImproperlyConfigured(
        f"PAYMENT_PROVIDER={','.join(PAYMENT_PROVIDERS)} offers real and test payments together, for the same "
        "credits. Set live keys for all providers or test keys for all; combine mock with test keys only."
    )
