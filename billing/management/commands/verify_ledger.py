"""`manage.py verify_ledger`: recompute all of the money."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from billing import verification


class Command(BaseCommand):
    help = "Recompute every transaction and wallet, and what was sold for them; name what is off and exit 1."

    def handle(self, *_args: Any, **_options: Any) -> None:
        found = 0
        for found, discrepancy in enumerate(verification.verify_all(), start=1):  # noqa: B007
            self.stdout.write(str(discrepancy))
        if found:
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS("The ledger holds."))
