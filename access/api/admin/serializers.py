"""Bodies of the administration API: tokens and tariffs."""

from typing import Any

from rest_framework import serializers

from access import selectors
from access.api.fields import PriceField
from access.models import AccessToken, Scope
from billing.api.amount_fields import MoneyNumberField
from zenzefi.common.api.fields import QueryFlag, Text, WholeNumber


class AdminTokenSerializer(serializers.ModelSerializer[AccessToken]):
    """A token without its secret."""

    token_id = serializers.UUIDField(source="id", read_only=True)
    cost = MoneyNumberField()
    is_active = serializers.SerializerMethodField()

    class Meta:
        model = AccessToken
        fields = [
            "token_id",
            "user_id",
            "duration_hours",
            "scope",
            "cost",
            "created_at",
            "expires_at",
            "activated_at",
            "revoked_at",
            "frozen_at",
            "is_active",
        ]
        read_only_fields = fields

    def get_is_active(self, token: AccessToken) -> bool:
        return selectors.is_usable(token)


class AdminTokenFilterSerializer(serializers.Serializer[Any]):
    user_id = serializers.UUIDField(required=False)
    active_only = QueryFlag(default=False)


class ReasonSerializer(serializers.Serializer[Any]):
    reason = Text(max_length=500, allow_blank=True, default="")


class ForcedRevocationSerializer(serializers.Serializer[Any]):
    revoked = serializers.BooleanField(read_only=True)


class NewTariffSerializer(serializers.Serializer[Any]):
    duration_hours = WholeNumber(min_value=1, max_value=87_600)
    scope = serializers.ChoiceField(Scope.choices, default=Scope.FULL)
    price = PriceField()
    title = Text(max_length=100, required=False)


class TariffChangeSerializer(serializers.Serializer[Any]):
    duration_hours = WholeNumber(min_value=1, max_value=87_600, required=False)
    scope = serializers.ChoiceField(Scope.choices, required=False)
    price = PriceField(required=False)
    title = Text(max_length=100, required=False)
