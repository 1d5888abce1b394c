from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def add(apps: StateApps, _editor: BaseDatabaseSchemaEditor) -> None:
    """The address of each user; only that of an operator, who must be able to enter, is taken for confirmed."""
    address = apps.get_model("account", "EmailAddress")
    users = apps.get_model("accounts", "User").objects.filter(emailaddress=None)
    address.objects.bulk_create(
        (address(user=user, email=user.email, primary=True, verified=user.is_superuser) for user in users.iterator()),
        batch_size=500,
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_logins_and_api_tokens"), ("account", "0009_emailaddress_unique_primary_email")]

    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
