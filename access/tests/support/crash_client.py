"""A customer's calls over HTTP, each with an idempotency key, and a client process to be killed between them.

`python -m access.tests.support.crash_client <user id>` makes one call. For each line of its input, a seed, it then
forks a client. The client writes its process id, and each call twice: before the call as `begun`, after it as `done`.
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
    """One call that moves money and can be repeated. A webhook has the `message` about the payment `payment_id`."""

    kind: str
    key: str
    token_id: str = ""
    payment_id: str = ""
    message: str = ""


def make(user: Any, step: Step) -> dict[str, Any]:
    """Make the call and return its response: a success, or 409 while the same call is still running elsewhere."""
    from billing.tests.support import mock_provider
    from conftest import client_of

    headers = {"Idempotency-Key": step.key}
    if step.kind == "buy":
        response = client_of(user).post("/api/v1/tokens/purchase", {"duration_hours": 1}, headers=headers)
    elif step.kind == "refund":
        response = client_of(user).delete(f"/api/v1/tokens/{step.token_id}", headers=headers)
    else:
        response = mock_provider.send(step.message.encode())
    assert response.status_code == 200 or response.json().get("code") == "idempotency_in_progress", response.json()
    # `is_active` is the state at the time of the response, so a repetition may differ.
    return {"status": response.status_code, **response.json()} | {"is_active": None}


def steps(user: Any, seed: int) -> Generator[Step, dict[str, Any], None]:
    """Yield the steps of a client; each step receives its response through `send`."""
    from billing.tests.support.mock_provider import create_pending_payment, set_status

    choices, bought = random.Random(seed), []
    for number in count():
        kind, key = choices.choice(["buy", "buy", "refund", "credit"]), f"{seed}-{number}"
        if kind == "refund" and bought:
            yield Step(kind, key, token_id=bought.pop())
        elif kind == "credit":
            payment = create_pending_payment(user)
            yield Step(kind, key, payment_id=str(payment.pk), message=set_status(payment, "succeeded").decode())
        else:
            response = yield Step("buy", key)
            bought.append(response["token_id"])


def run(user: Any, seed: int) -> None:
    """Make calls until the process is killed."""
    write(pid=os.getpid())
    planned = steps(user, seed)
    step = next(planned)
    while True:
        write(begun=asdict(step))
        response = make(user, step)
        write(done=asdict(step), response=response)
        step = planned.send(response)


def write(**fields: Any) -> None:
    """Write one line of JSON with a single system call, so that a kill never leaves a partial line."""
    os.write(sys.stdout.fileno(), f"{json.dumps(fields)}\n".encode())


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
    # The forked clients must not share a database connection.
    connection.close()
    connection.close_pool()
    for seed in sys.stdin:
        if (client := os.fork()) == 0:
            run(user, int(seed))
        os.waitpid(client, 0)
        write(ended=client)


if __name__ == "__main__":
    main()
