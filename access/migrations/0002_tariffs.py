"""The tariffs on sale at first, at the prices of `TOKEN_PRICE_*`; operators change them in the admin."""

from django.conf import settings
from django.db import migrations

TITLES = {1: "1 hour", 12: "12 hours", 24: "24 hours", 168: "7 days", 720: "30 days"}
SCOPES = {"full": "full access", "certificates_only": "certificates only"}


def create_tariffs(apps, editor):
    tariff = apps.get_model("access", "Tariff")
    tariff.objects.bulk_create(
        tariff(title=f"{TITLES[hours]}, {words}", duration_hours=hours, scope=scope, price=price)
        for scope, words in SCOPES.items()
        for hours, price in settings.TOKEN_PRICES.items()
    )


class Migration(migrations.Migration):
    dependencies = [("access", "0001_initial")]

    operations = [migrations.RunPython(create_tariffs, migrations.RunPython.noop)]
