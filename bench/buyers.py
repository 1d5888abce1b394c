"""Customers that buy access tokens as fast as they can, run with the gateway's Python.

`open` creates the database and the customers. `buy FIRST COUNT SECONDS` starts `COUNT` customers, each in a thread,
prints `ready`, waits for a line of input, and prints the number of tokens bought per second.
"""

import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

CUSTOMERS = 16
_CREDITS = Decimal(1_000_000)
_HOURS = 1


def main() -> None:
    import django  # not installed for `bench.purchases`, which imports only `CUSTOMERS`

    django.setup()
    if sys.argv[1] == "open":
        _open()
    else:
        first, count, seconds = map(int, sys.argv[2:])
        _buy_together(range(first, first + count), seconds)


def _open() -> None:
    from django.core.management import call_command

    from accounts.models import User
    from billing import ledger
    from billing.models import SystemAccount, TransactionType

    call_command("migrate", verbosity=0)
    for number in range(CUSTOMERS):
        user = User.objects.create_user(f"{number}@example.com", f"customer{number}", None)
        ledger.move(user, _CREDITS, SystemAccount.DEPOSITS, TransactionType.DEPOSIT, "Credits")


def _buy_together(numbers: range, seconds: int) -> None:
    warm, start = threading.Barrier(len(numbers) + 1), threading.Event()

    def customer(number: int) -> int:
        buy = _purchase_of(number)
        buy()
        warm.wait()
        start.wait()
        bought, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            buy()
            bought += 1
        return bought

    with ThreadPoolExecutor(len(numbers)) as pool:
        buying = [pool.submit(customer, number) for number in numbers]
        warm.wait()
        print("ready", flush=True)
        sys.stdin.readline()
        start.set()
        began = time.monotonic()
        bought = sum(each.result() for each in buying)
    print(bought / (time.monotonic() - began))


def _purchase_of(number: int):
    from access import services
    from access.models import Scope
    from accounts.models import User
    from billing.idempotency import Call

    user = User.objects.get(username=f"customer{number}")
    body = {"duration_hours": _HOURS}
    return lambda: services.purchase(Call(user, "tokens/purchase", str(uuid.uuid4()), body), _HOURS, Scope.FULL)


if __name__ == "__main__":
    main()
