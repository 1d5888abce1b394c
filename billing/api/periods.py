"""The period of a statement in a query string."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.statements import MAX_PERIOD
from zenzefi.common.time_zones import midnight

_Base = serializers.Field[datetime, Any, Any, datetime]


@extend_schema_field({"type": "string", "example": "2026-03-01"})
class Moment(_Base):
    """A date or date-time (ISO 8601, UTC if it has no offset) as an instant.

    A date means the start of that day in UTC, or its end with `ends_day`.
    """

    default_error_messages = {
        "invalid": _("A date such as 2026-03-01 or a time such as 2026-03-01T12:00:00Z is expected."),
    }

    def __init__(self, *, ends_day: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._ends_day = ends_day

    def to_internal_value(self, data: Any) -> datetime:
        try:
            return self._instant(data)
        except (ValueError, OverflowError) as error:  # no such day, or a year out of range
            raise serializers.ValidationError(self.error_messages["invalid"], code="invalid") from error

    def _instant(self, text: str) -> datetime:
        if day := parse_date(text):
            return self._of_day(day)
        moment = parse_datetime(text)
        if moment is None:
            raise ValueError(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)

    def _of_day(self, day: date) -> datetime:
        return midnight(day + timedelta(days=1) if self._ends_day else day, UTC)


class PeriodSerializer(serializers.Serializer[Any]):
    """`from` and `to`, two instants with at most `MAX_PERIOD` between them."""

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is a keyword and so cannot be a class attribute."""
        begins = _("The first day, or the first instant.")
        ends = _("The last day (included), or the instant at which the period ends (not included).")
        period = {
            "from": Moment(source="start", help_text=begins),
            "to": Moment(source="end", ends_day=True, help_text=ends),
        }
        return {**period, **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["end"] <= attrs["start"]:
            raise serializers.ValidationError({"to": [_("The end of the period must be after its start.")]})
        if attrs["end"] - attrs["start"] > MAX_PERIOD:
            message = _(
                "A statement covers at most %(days)d days. Request several statements for a longer period."
            ) % {"days": MAX_PERIOD.days}
            raise serializers.ValidationError({"to": [message]})
        return attrs
