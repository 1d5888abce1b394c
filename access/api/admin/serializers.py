"""Users, tokens and tariffs as an operator sees and changes them."""

from typing import Any

from rest_framework import serializers

from access import selectors
from access.api.fields import Price
from access.models import AccessToken, Scope
from accounts.api.serializers import ProfileSerializer
from billing.api.fields import BalanceField, MoneyField
from zenzefi.common.api.fields import Flag, QueryFlag, Text, WholeNumber


class AdminUserSerializer(ProfileSerializer):
    class Meta(ProfileSerializer.Meta):
        fields = [*ProfileSerializer.Meta.fields, "is_staff", "is_superuser", "last_login"]
        read_only_fields = fields


class UserFilterSerializer(serializers.Serializer[Any]):
    search = Text(max_length=200, allow_blank=True, default="")
    is_active = QueryFlag(required=False)


class UserChangeSerializer(serializers.Serializer[Any]):
    currency_balance = BalanceField(source="balance", required=False)
    is_active = Flag(source="active", required=False)
    reason = Text(max_length=500, allow_blank=True, required=False)


class AdminTokenSerializer(serializers.ModelSerializer[AccessToken]):
    """A token without its text."""

    token_id = serializers.UUIDField(source="id", read_only=True)
    cost = MoneyField()
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
    price = Price()
    title = Text(max_length=100, required=False)


class TariffChangeSerializer(serializers.Serializer[Any]):
    duration_hours = WholeNumber(min_value=1, max_value=87_600, required=False)
    scope = serializers.ChoiceField(Scope.choices, required=False)
    price = Price(required=False)
    title = Text(max_length=100, required=False)
