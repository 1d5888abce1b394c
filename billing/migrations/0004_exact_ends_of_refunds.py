from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_payment_states")]

    operations = [migrations.RemoveField(model_name="paymentrefund", name="refunded_after")]
