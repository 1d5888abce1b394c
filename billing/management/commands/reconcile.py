"""`manage.py reconcile --from 2026-11-01 --to 2026-11-30`: compare payments with the books of their providers."""

import sys
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.reconciliation import Difference, reconcile


class Command(BaseCommand):
    help = (
        "Compare the payments created in these days (UTC, both included) with the books of their providers. "
        "Exit with status 1 if any differs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        for name in ("from", "to"):
            parser.add_argument(f"--{name}", dest=name, type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["from"] > options["to"]:
            raise CommandError("--from must not be after --to.")
        rows = [_row(difference) for difference in reconcile(options["from"], options["to"])]
        if not rows:
            self.stdout.write(self.style.SUCCESS("All payments agree with their providers."))
            return
        table = [("payment", "provider", "amount", "status", "found"), *rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        for row in table:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        sys.exit(1)


def _row(difference: Difference) -> tuple[str, ...]:
    payment = difference.payment
    return (
        str(payment.pk),
        f"{payment.provider} {payment.provider_id}",
        payment.price,
        payment.status,
        difference.found,
    )
