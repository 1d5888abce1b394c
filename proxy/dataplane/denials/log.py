"""The last refusals, kept for those who ask why: noted in memory, written every few seconds in one bulk statement.

Bounded, whoever attacks: in a minute, so many of requests without a token that is known, and of each address; so many
more of known tokens, and of each, so that an owner finds hers during an attack. What is above that is only counted.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from proxy.dataplane.admission.grant_cache import Grant
from proxy.dataplane.errors import CODE_SPENT, INVALID_TOKEN, TOKEN_EXPIRED, Denial, Denied
from proxy.models import LONGEST_PATH, DenialRecord
from zenzefi.common.bulk_writes import write_or_drop
from zenzefi.common.ip_addresses import normalise_ip_address

MINUTE = 60.0
UNKNOWN, UNKNOWN_PER_ADDRESS = 60, 10
KNOWN, KNOWN_PER_TOKEN = 300, 20
# While the database is away.
MOST_WAITING = 1000


class Asked(NamedTuple):
    """What is remembered of a request beside the reason."""

    request_id: bytes
    path: bytes = b""
    ip: str | None = None
    device: bytes = b""
    grant: Grant | None = None


@dataclass(slots=True)
class Refusal:
    """A denial and what was asked; `status` is that of the answer, or the code of a WebSocket's close."""

    denial: Denial
    status: int
    asked: Asked
    detail: dict[str, Any]
    at: float = field(default_factory=time.time)


class Refusals:
    """Those that nobody has written yet."""

    def __init__(self) -> None:
        self._waiting: list[Refusal] = []
        self._kept: Counter[UUID | str | None] = Counter()  # this minute, by token or address
        self._unknown = self._known = 0
        self._minute_ends = 0.0
        # How many were not kept since the start.
        self.dropped = 0

    def note(self, denial: Denial, status: int, asked: Asked, detail: dict[str, Any]) -> None:
        """Keep it for the next flush, or count it where there have been too many."""
        if self._may_keep(asked):
            self._waiting.append(Refusal(denial, status, asked, detail))
        else:
            self.dropped += 1

    def _may_keep(self, asked: Asked) -> bool:
        now = time.monotonic()
        if now >= self._minute_ends:
            self._minute_ends = now + MINUTE
            self._unknown = self._known = 0
            self._kept.clear()
        if len(self._waiting) >= MOST_WAITING:
            return False
        if asked.grant is None:
            if self._unknown >= UNKNOWN or self._kept[asked.ip] >= UNKNOWN_PER_ADDRESS:
                return False
            self._unknown += 1
            self._kept[asked.ip] += 1
        else:
            token_id = asked.grant.token_id
            if self._known >= KNOWN or self._kept[token_id] >= KNOWN_PER_TOKEN:
                return False
            self._known += 1
            self._kept[token_id] += 1
        return True

    def waiting(self) -> list[Refusal]:
        """In their order."""
        return list(self._waiting)

    def take(self, count: int) -> list[Refusal]:
        """The first that wait; they wait no more."""
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def put_back(self, refusals: list[Refusal]) -> None:
        """What could not be written waits on, as far as there is room."""
        waiting = [*refusals, *self._waiting]
        self._waiting = waiting[:MOST_WAITING]
        self.dropped += len(waiting) - len(self._waiting)


def facts(denied: Denied, grant: Grant | None) -> dict[str, Any]:
    """What its sentence needs (`proxy.dataplane.denials.messages`); nothing about a token that is not known."""
    found: dict[str, Any] = {}
    if denied.retry_after is not None:
        found["retry_after"] = denied.retry_after
    if grant is not None and denied.denial is TOKEN_EXPIRED:
        found["expired_at"] = iso(grant.deadline)
    if grant is not None and denied.denial is INVALID_TOKEN:
        found["revoked"] = True
    if denied.denial is CODE_SPENT:
        found["code_spent"] = True
    return found


def iso(timestamp: float) -> str:
    """A Unix time as the JSON of a record has it."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")


def write_refusals(refusals: list[Refusal]) -> None:
    """Insert them in one statement; a row that is refused holds no other back."""
    records = [_record(refusal) for refusal in refusals]
    write_or_drop(DenialRecord.objects.bulk_create, records, lambda record: f"denial {record.request_id}")


def _record(refusal: Refusal) -> DenialRecord:
    asked = refusal.asked
    grant = asked.grant
    return DenialRecord(
        request_id=asked.request_id.decode("ascii"),
        at=datetime.fromtimestamp(refusal.at, UTC),
        code=refusal.denial.code,
        status=refusal.status,
        token_id=grant.token_id if grant else None,
        user_id=grant.user_id if grant else None,
        device=hint(asked.device.decode("ascii", "replace")) if asked.device else "",
        path=_text(asked.path),
        ip=normalise_ip_address(asked.ip or ""),
        detail=refusal.detail,
    )


def hint(device: str) -> str:
    """How a device's id ends: enough for its owner to tell her devices apart."""
    return device[-2:]


def _text(path: bytes) -> str:
    """Bounded, and printable whatever was sent."""
    text = path[:LONGEST_PATH].decode("latin-1")
    return "".join(letter if " " < letter < "\x7f" else "\N{REPLACEMENT CHARACTER}" for letter in text)
