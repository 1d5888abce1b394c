"""`manage.py verify_ledger`: recompute the whole ledger."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from billing import ledger


class Command(BaseCommand):
    help = "Recompute every transaction and wallet from its entries; exit 1 if anything is off."

    def handle(self, *_args: Any, **_options: Any) -> None:
        found = ledger.verify()
        for discrepancy in found:
            self.stdout.write(str(discrepancy))
        if found:
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS("The ledger holds."))
