"""Calls of a customer's life over HTTP, each with a key, and a process that makes them until it is killed.

`python -m access.tests.support.crash_client <user id>` makes one call, and then forks a shopper for each line it
reads, a seed.
A shopper writes its process id, and then each call twice: before it as `begun`, after it as `done`.
"""

import json
import os
import random
import sys
from collections.abc import Generator
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any


@dataclass(frozen=True)
class Step:
    """One call that moves money; to be repeated as it is. `payment` is for what its webhook credits."""

    kind: str
    key: str
    token_id: str = ""
    payment_id: str = ""
    message: str = ""


def make(user: Any, step: Step) -> dict[str, Any]:
    """The response of a call that must succeed, or the refusal of one that is still running elsewhere."""
    from billing.tests import webhook_client
    from conftest import client_of

    headers = {"Idempotency-Key": step.key}
    if step.kind == "buy":
        response = client_of(user).post("/api/v1/tokens/purchase", {"duration_hours": 1}, headers=headers)
    elif step.kind == "refund":
        response = client_of(user).delete(f"/api/v1/tokens/{step.token_id}", headers=headers)
    else:
        response = webhook_client.send(step.message.encode())
    assert response.status_code == 200 or response.json().get("code") == "idempotency_in_progress", response.json()
    # Whether a token is active is said as it is now, not as it was.
    return {"status": response.status_code, **response.json()} | {"is_active": None}


def steps(user: Any, seed: int) -> Generator[Step, dict[str, Any], None]:
    """What a shopper does; each step is sent its response."""
    from billing.tests.webhook_client import begun, happens

    choices, bought = random.Random(seed), []
    for number in count():
        kind, key = choices.choice(["buy", "buy", "refund", "credit"]), f"{seed}-{number}"
        if kind == "refund" and bought:
            yield Step(kind, key, token_id=bought.pop())
        elif kind == "credit":
            payment = begun(user)
            yield Step(kind, key, payment_id=str(payment.pk), message=happens(payment, "succeeded").decode())
        else:
            response = yield Step("buy", key)
            bought.append(response["token_id"])


def shop(user: Any, seed: int) -> None:
    write(pid=os.getpid())
    planned = steps(user, seed)
    step = next(planned)
    while True:
        write(begun=asdict(step))
        response = make(user, step)
        write(done=asdict(step), response=response)
        step = planned.send(response)


def write(**said: Any) -> None:
    """In one piece: a line is there, or it is not."""
    os.write(sys.stdout.fileno(), f"{json.dumps(said)}\n".encode())


def main() -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.test.utils import setup_test_environment

    from accounts.models import User

    setup_test_environment()
    settings.CELERY_TASK_ALWAYS_EAGER = True
    user, step = User.objects.get(pk=sys.argv[1]), Step("buy", "first")
    write(done=asdict(step), response=make(user, step))
    # No connection of the database may be left that several shoppers would share.
    connection.close()
    connection.close_pool()
    for seed in sys.stdin:
        if (shopper := os.fork()) == 0:
            shop(user, int(seed))
        os.waitpid(shopper, 0)
        write(ended=shopper)


if __name__ == "__main__":
    main()
