"""Idempotency keys: a call that moves money acts once, even if it is sent several times.

The success is stored as ids, in the same transaction as the movement. A crash leaves either both or neither, so a
repeated call either acts or returns the first result again.
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

KEY_LIFETIME = timedelta(hours=48)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Call:
    """One call of a user: its name with path parameters, its key (empty if there is none) and its body."""

    user: User
    name: str
    key: str
    body: Any

    @property
    def body_hash(self) -> str:
        text = json.dumps(self.body, sort_keys=True, default=_number)
        return hashlib.sha256(text.encode()).hexdigest()


def _number(value: Decimal) -> int | str:
    """Return a number in one canonical form, so that 18, 18.0 and 18.00 make the same body."""
    if abs(value.adjusted()) > 18:  # too large for an amount, and for arithmetic without an overflow
        return str(value)
    whole = value.to_integral_value()
    return int(whole) if value == whole else str(value.normalize())


def once(
    call: Call, act: Callable[[], tuple[Result, dict[str, Any]]], replay: Callable[[dict[str, Any]], Result]
) -> Result:
    """Run `act` in one transaction, or return the earlier success of the same call through `replay`.

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
    """Take an advisory lock across workers. It ends with the transaction, even after a crash.

    SQLite needs none: its transactions take the only write lock when they begin. Raises `IdempotencyInProgress` if
    another worker holds the lock.
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
    """Delete the key of a call that failed after it was stored, so that the call can be repeated with its key."""
    IdempotencyKey.objects.filter(user=call.user, call=call.name, key=call.key).delete()


def forget_old_keys() -> int:
    """Delete the keys older than `KEY_LIFETIME`. Return their number."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEY_LIFETIME).delete()[0]
