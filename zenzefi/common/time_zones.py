"""Time zones of the IANA database, and the days in them."""

from datetime import date, datetime, time, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones


@cache
def time_zone_names() -> frozenset[str]:
    """Return the names of all time zones, read from the disk once."""
    return frozenset(available_timezones())


def time_zone(name: str) -> ZoneInfo:
    """Return the time zone with this name, or UTC if there is none."""
    return ZoneInfo(name if name in time_zone_names() else "UTC")


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return the beginning of a day in a time zone."""
    return datetime.combine(day, time.min, zone)
