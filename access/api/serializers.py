"""Request and response bodies for tariffs and access tokens."""

from typing import Any

from rest_framework import serializers

from access import selectors, token_secret
from access.models import AccessToken, Scope, Tariff
from access.services import RefundedRevocation
from access.token_refunds import Refund
from billing.api.amount_fields import MoneyNumberField
from zenzefi.common.api.fields import QueryFlag, Text, WholeNumber


class TariffSerializer(serializers.ModelSerializer[Tariff]):
    price = MoneyNumberField()

    class Meta:
        model = Tariff
        fields = ["id", "duration_hours", "scope", "price", "title"]
        read_only_fields = fields


class TokenSerializer(serializers.ModelSerializer[AccessToken]):
    """A token as its owner sees it."""

    token_id = serializers.UUIDField(source="id", read_only=True)
    token = serializers.SerializerMethodField(help_text="Null if its encryption key was removed.")
    is_active = serializers.SerializerMethodField()

    class Meta:
        model = AccessToken
        fields = [
            "token_id",
            "token",
            "duration_hours",
            "scope",
            "created_at",
            "expires_at",
            "activated_at",
            "is_active",
        ]
        read_only_fields = fields

    def get_token(self, token: AccessToken) -> str | None:
        return token_secret.decrypt(token.ciphertext)

    def get_is_active(self, token: AccessToken) -> bool:
        return selectors.is_usable(token)


class BoughtTokenSerializer(TokenSerializer):
    cost = MoneyNumberField()

    class Meta(TokenSerializer.Meta):
        fields = [
            "token_id",
            "token",
            "duration_hours",
            "scope",
            "cost",
            "expires_at",
            "created_at",
            "is_active",
        ]
        read_only_fields = fields


class TokenExtensionSerializer(serializers.Serializer[Any]):
    duration_hours = WholeNumber(min_value=1, max_value=87_600)


class TokenPurchaseSerializer(TokenExtensionSerializer):
    scope = serializers.ChoiceField(Scope.choices, default=Scope.FULL)


class TokenFilterSerializer(serializers.Serializer[Any]):
    active_only = QueryFlag(default=False)


class SecretSerializer(serializers.Serializer[Any]):
    token = Text(max_length=1024, trim_whitespace=False)


class ValidTokenSerializer(serializers.ModelSerializer[AccessToken]):
    """A valid token; the context holds `now`."""

    valid = serializers.SerializerMethodField()
    token_id = serializers.UUIDField(source="id", read_only=True)
    time_remaining_seconds = serializers.SerializerMethodField()

    class Meta:
        model = AccessToken
        fields = ["valid", "user_id", "token_id", "scope", "expires_at", "time_remaining_seconds"]
        read_only_fields = fields

    def get_valid(self, _token: AccessToken) -> bool:
        return True

    def get_time_remaining_seconds(self, token: AccessToken) -> int:
        return int((token.expires_at - self.context["now"]).total_seconds())


class InvalidTokenSerializer(serializers.Serializer[Any]):
    valid = serializers.BooleanField(read_only=True)
    reason = serializers.CharField(read_only=True)


class RefundQuoteSerializer(serializers.Serializer[Refund]):
    refund_amount = MoneyNumberField(source="amount")
    time_unused_seconds = serializers.SerializerMethodField()

    def get_time_unused_seconds(self, refund: Refund) -> int:
        return int(refund.unused.total_seconds())


class RevokedTokenSerializer(serializers.Serializer[RefundedRevocation]):
    revoked = serializers.SerializerMethodField()
    refund_amount = MoneyNumberField(source="refund")
    new_balance = MoneyNumberField(source="balance")

    def get_revoked(self, _revoked: RefundedRevocation) -> bool:
        return True
