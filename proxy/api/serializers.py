"""Serializers for usage."""

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from proxy.usage import PERIODS

_Base = serializers.Serializer[Any]


class UsageQuerySerializer(_Base):
    period = serializers.ChoiceField(
        PERIODS, default="week", help_text=_("The last 24 hours, 7 days or 30 days, including the current one.")
    )
    token_id = serializers.UUIDField(default=None, help_text=_("Only this token."))


class FiguresSerializer(_Base):
    bytes = serializers.IntegerField(help_text=_("In both directions."))
    requests = serializers.IntegerField(help_text=_("A WebSocket counts as one."))
    hours = serializers.SerializerMethodField(help_text=_("The time in use in hours, rounded to 0.01."))

    def get_hours(self, figures: Any) -> Decimal:
        return round(Decimal(figures.hours), 2)


class StretchSerializer(FiguresSerializer):
    start = serializers.DateTimeField(help_text=_("The start of this hour or day."))


class TokenFiguresSerializer(FiguresSerializer):
    token_id = serializers.UUIDField(source="token.pk")


class UsageSerializer(_Base):
    period = serializers.ChoiceField(PERIODS)
    time_zone = serializers.CharField(
        help_text=_("The time zone in which days begin: that of the profile, else UTC.")
    )
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    total = FiguresSerializer()
    series = StretchSerializer(many=True)
    tokens = TokenFiguresSerializer(many=True)
