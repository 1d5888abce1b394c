"""Bodies of the administration API: users with their balances."""

from typing import Any

from rest_framework import serializers

from accounts.api.serializers import ProfileSerializer
from billing.api.amount_fields import BalanceField
from zenzefi.common.api.fields import Flag, QueryFlag, Text


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
