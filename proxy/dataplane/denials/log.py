"""Recent denials, kept for users who ask for the reason: collected in memory, written every few seconds in bulk.

The number of records is limited even under attack. Each minute there is a limit for requests without a known token,
and a smaller one for each of their addresses; and a separate limit for known tokens, and for each token, so that an
owner finds the denials of their token during an attack. Denials above the limits are only counted.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from proxy.dataplane.errors import CODE_SPENT, INVALID_TOKEN, TOKEN_EXPIRED, Denial, Denied, DeniedToken
from proxy.models import LONGEST_PATH, DenialRecord
from zenzefi.common.bulk_writes import write_or_drop
from zenzefi.common.ip_addresses import normalise_ip_address
from zenzefi.common.iso_times import iso_time

MINUTE = 60.0
UNKNOWN_PER_MINUTE, UNKNOWN_PER_ADDRESS = 60, 10
KNOWN_PER_MINUTE, KNOWN_PER_TOKEN = 300, 20
# While the database cannot be reached.
MAX_WAITING = 1000


class RequestInfo(NamedTuple):
    """The facts about a denied request that its record keeps."""

    request_id: bytes
    path: bytes = b""
    ip: str | None = None
    device: bytes = b""
    token: DeniedToken | None = None


@dataclass(slots=True)
class LoggedDenial:
    """A denial and its request; `status` is that of the response, or the close code of a WebSocket."""

    denial: Denial
    status: int
    request: RequestInfo
    details: dict[str, Any]
    at: float = field(default_factory=time.time)


class DenialLog:
    """The denials that have not been written yet."""

    def __init__(self) -> None:
        self._waiting: list[LoggedDenial] = []
        self._kept: Counter[UUID | str | None] = Counter()  # in this minute, by token or address
        self._unknown = self._known = 0
        self._minute_ends = 0.0
        self.dropped = 0  # since the start

    def add(self, denial: Denial, status: int, request: RequestInfo, details: dict[str, Any]) -> None:
        """Keep a denial for the next flush, or count it as dropped if there have been too many."""
        if self._reserve_place(request):
            self._waiting.append(LoggedDenial(denial, status, request, details))
        else:
            self.dropped += 1

    def _reserve_place(self, request: RequestInfo) -> bool:
        """Count a denial towards this minute's limits, and return False if one is reached."""
        now = time.monotonic()
        if now >= self._minute_ends:
            self._minute_ends = now + MINUTE
            self._unknown = self._known = 0
            self._kept.clear()
        if len(self._waiting) >= MAX_WAITING:
            return False
        if request.token is None:
            if self._unknown >= UNKNOWN_PER_MINUTE or self._kept[request.ip] >= UNKNOWN_PER_ADDRESS:
                return False
            self._unknown += 1
            self._kept[request.ip] += 1
        else:
            token_id = request.token.token_id
            if self._known >= KNOWN_PER_MINUTE or self._kept[token_id] >= KNOWN_PER_TOKEN:
                return False
            self._known += 1
            self._kept[token_id] += 1
        return True

    def waiting(self) -> list[LoggedDenial]:
        """Return the waiting denials, oldest first."""
        return list(self._waiting)

    def take(self, count: int) -> list[LoggedDenial]:
        """Remove and return the first `count` denials."""
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def put_back(self, denials: list[LoggedDenial]) -> None:
        """Keep denials that could not be written, as far as there is room."""
        waiting = [*denials, *self._waiting]
        self._waiting = waiting[:MAX_WAITING]
        self.dropped += len(waiting) - len(self._waiting)


def denial_details(denied: Denied) -> dict[str, Any]:
    """Return the facts that the message of a denial needs (`proxy.dataplane.denials.messages`).

    They contain nothing about a token that is not known.
    """
    details: dict[str, Any] = {}
    if denied.retry_after is not None:
        details["retry_after"] = denied.retry_after
    if denied.token is not None and denied.denial is TOKEN_EXPIRED:
        details["expired_at"] = iso_time(denied.token.deadline, "seconds")
    if denied.token is not None and denied.denial is INVALID_TOKEN:
        details["revoked"] = True
    if denied.denial is CODE_SPENT:
        details["code_spent"] = True
    return details


def write_denials(denials: list[LoggedDenial]) -> None:
    """Insert denials in one statement; those that the database rejects are dropped."""
    records = [_record(denial) for denial in denials]
    write_or_drop(DenialRecord.objects.bulk_create, records, lambda record: f"denial {record.request_id}")


def _record(denial: LoggedDenial) -> DenialRecord:
    request = denial.request
    token = request.token
    return DenialRecord(
        request_id=request.request_id.decode("ascii"),
        at=datetime.fromtimestamp(denial.at, UTC),
        code=denial.denial.code,
        status=denial.status,
        token_id=token.token_id if token else None,
        user_id=token.user_id if token else None,
        device=device_suffix(request.device.decode("ascii", "replace")) if request.device else "",
        path=_printable(request.path),
        ip=normalise_ip_address(request.ip or ""),
        detail=denial.details,
    )


def device_suffix(device: str) -> str:
    """Return the last two characters of a device id: enough for the owner to tell their devices apart."""
    return device[-2:]


def _printable(path: bytes) -> str:
    """Return the path as text of bounded length; characters that are not printable ASCII are replaced."""
    text = path[:LONGEST_PATH].decode("latin-1")
    return "".join(letter if " " < letter < "\x7f" else "\N{REPLACEMENT CHARACTER}" for letter in text)
