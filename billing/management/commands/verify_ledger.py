"""`manage.py verify_ledger`: recompute all of the money."""

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand

from billing import nightly_verification, verification


class Command(BaseCommand):
    help = "Recompute every transaction and wallet, and what was sold for them; name what is off and exit 1."

    def handle(self, *_args: Any, **_options: Any) -> None:
        found = 0
        for discrepancy in verification.verify_all():
            self.stdout.write(str(discrepancy))
            found += 1
        nightly_verification.store_result(found, time.time())
        if found:
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS("The ledger holds."))
