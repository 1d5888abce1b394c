"""Changes to many rows in batches, each in a short transaction of its own."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

ROWS = 1000


def delete(rows: QuerySet[Any]) -> int:
    """Delete the rows in batches; return their number, without those of other tables."""
    label = rows.model._meta.label  # noqa: SLF001  (Django documents it)
    return _in_batches(rows, lambda batch: batch.delete()[1].get(label, 0))


def update(rows: QuerySet[Any], **values: Any) -> int:
    """Update the rows in batches; return their number. The update must take them out of the query."""
    return _in_batches(rows, lambda batch: batch.update(**values))


def _in_batches(rows: QuerySet[Any], change: Callable[[QuerySet[Any]], int]) -> int:
    """Change batches of rows until one is not full. A batch omits rows that no longer match when it is changed."""
    total, found, changed = 0, ROWS, ROWS
    while found == ROWS and changed:
        keys = list(rows.order_by().values_list("pk", flat=True)[:ROWS])
        found, changed = len(keys), change(rows.filter(pk__in=keys)) if keys else 0
        total += changed
    return total
