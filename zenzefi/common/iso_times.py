"""Times as ISO 8601 in UTC, such as `2026-11-30T12:00:00Z`."""

from datetime import UTC, datetime


def iso_time(moment: datetime | float, timespec: str = "auto") -> str:
    """Return an aware `datetime` or a Unix time in UTC with `Z`; `timespec` as for `datetime.isoformat`."""
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
