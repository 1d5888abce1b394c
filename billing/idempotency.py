"""`Idempotency-Key`: a call that moves money acts once, however often it is sent.

The success is written in the transaction of the act, as ids. A crash leaves either both or neither, so a
repeated call either acts or is answered again.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from billing.errors import IdempotencyConflict, IdempotencyInProgress
from billing.models import IdempotencyKey

KEPT = timedelta(hours=48)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Call:
    """One call of a user: its name with its path's parameters, its key (empty: none given) and its body."""

    user: User
    name: str
    key: str
    body: Any

    @property
    def body_hash(self) -> str:
        text = json.dumps(self.body, sort_keys=True, default=_number)
        return hashlib.sha256(text.encode()).hexdigest()


def _number(value: Decimal) -> int | str:
    """Amounts compare as numbers: 18, 18.0 and 18.00 make one body."""
    if abs(value.adjusted()) > 18:  # no amount, and beyond what arithmetic takes without an overflow
        return str(value)
    whole = value.to_integral_value()
    return int(whole) if value == whole else str(value.normalize())


def once(
    call: Call, act: Callable[[], tuple[Result, dict[str, Any]]], replay: Callable[[dict[str, Any]], Result]
) -> Result:
    """Run `act` in one transaction, or answer an earlier success of the same call through `replay`.

    `act` returns its result and the ids from which `replay` rebuilds it. Raises `IdempotencyConflict` for the
    same key with another body, `IdempotencyInProgress` while the first call is running.
    """
    if not call.key:
        with transaction.atomic():
            return act()[0]
    with _running(call), transaction.atomic():
        _lock(call)
        known = IdempotencyKey.objects.filter(user=call.user, call=call.name, key=call.key).first()
        if known and known.body_hash != call.body_hash:
            raise IdempotencyConflict
        if known:
            return replay(known.result)
        result, ids = act()
        IdempotencyKey.objects.create(
            user=call.user, call=call.name, key=call.key, body_hash=call.body_hash, result=ids
        )
        return result


_in_this_process: set[tuple[object, str, str]] = set()
_guard = threading.Lock()


@contextmanager
def _running(call: Call) -> Iterator[None]:
    identity = (call.user.pk, call.name, call.key)
    with _guard:
        if identity in _in_this_process:
            raise IdempotencyInProgress
        _in_this_process.add(identity)
    try:
        yield
    finally:
        with _guard:
            _in_this_process.discard(identity)


def _lock(call: Call) -> None:
    """Across processes: an advisory lock that ends with the transaction, also by a crash.

    SQLite needs none: its transactions take the only write lock at their start.
    """
    if connection.vendor != "postgresql":
        return
    digest = hashlib.sha256(f"{call.user.pk}\n{call.name}\n{call.key}".encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(digest[:8], signed=True)])
        (acquired,) = cursor.fetchone()
    if not acquired:
        raise IdempotencyInProgress


def forget(call: Call) -> None:
    """Let a call that was refused after all be made again with its key."""
    IdempotencyKey.objects.filter(user=call.user, call=call.name, key=call.key).delete()


def forget_old_keys() -> int:
    """Delete the keys older than `KEPT`; gives how many."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
