"""One segment for each token that was sold before there were segments: its whole price and time.

The ledger does not name the token of a purchase, so the parts of a token that was extended cannot be told apart.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

BATCH = 2000


def add_segments(apps: StateApps, _editor: BaseDatabaseSchemaEditor) -> None:
    """Add the segments in batches, each in its own transaction, so that an interrupted run continues."""
    segment = apps.get_model("access", "TokenSegment")
    without = apps.get_model("access", "AccessToken").objects.filter(segments=None).order_by("pk")
    rows = without.values_list("pk", "cost", "duration_hours", "created_at")
    last: dict[str, object] = {}
    while batch := list(rows.filter(**last)[:BATCH]):
        segment.objects.bulk_create(
            segment(token_id=pk, price=cost, hours=hours, created_at=bought) for pk, cost, hours, bought in batch
        )
        last = {"pk__gt": batch[-1][0]}


class Migration(migrations.Migration):
    # One transaction would keep the rows of a large table locked for its whole length.
    atomic = False

    dependencies = [("access", "0003_token_segments")]

    operations = [migrations.RunPython(add_segments, migrations.RunPython.noop)]
