"""`manage.py verify_ledger`: recompute the whole ledger."""

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand

from billing import nightly_verification, verification


class Command(BaseCommand):
    help = (
        "Recompute every transaction, wallet, payment and sale. "
        "Print each discrepancy, and exit with status 1 if there is one."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        found = 0
        for discrepancy in verification.verify_all():
            self.stdout.write(str(discrepancy))
            found += 1
        nightly_verification.store_result(found, time.time())
        if found:
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS("The ledger is consistent."))
