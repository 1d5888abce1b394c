"""Request and response bodies of the account API."""

from typing import Any

from rest_framework import serializers

from accounts.api.fields import Email
from accounts.api_tokens import MAX_DAYS
from accounts.models import ApiToken, User, username_form
from zenzefi.common.api.fields import Text


class RegistrationSerializer(serializers.Serializer[Any]):
    email = Email(max_length=254)
    username = Text(max_length=64, validators=[username_form])
    password = Text(max_length=128, trim_whitespace=False)
    full_name = Text(max_length=200, allow_blank=True, required=False)
    referral_code = Text(max_length=16, allow_blank=True, required=False)


class CredentialsSerializer(serializers.Serializer[Any]):
    email = Email(max_length=254)
    password = Text(trim_whitespace=False)
    otp = Text(
        max_length=20,
        required=False,
        help_text="Required if MFA is on: a code from the authenticator app, or a recovery code.",
    )


class RefreshSerializer(serializers.Serializer[Any]):
    refresh_token = Text(required=False)


class TokenPairSerializer(serializers.Serializer[Any]):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.ChoiceField(choices=["bearer"])
    expires_in = serializers.IntegerField(help_text="Lifetime of the access token in seconds.")


class DetailSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField()


class ErrorSerializer(DetailSerializer):
    code = serializers.CharField()


class UserAccountSerializer(serializers.ModelSerializer[User]):
    currency_balance = serializers.DecimalField(None, 2, source="wallet.balance", read_only=True, help_text="ZNC")

    class Meta:
        model = User
        fields = ["id", "email", "username", "full_name", "currency_balance", "is_active", "created_at"]
        read_only_fields = fields


class ProfileSerializer(UserAccountSerializer):
    class Meta(UserAccountSerializer.Meta):
        fields = [*UserAccountSerializer.Meta.fields, "updated_at"]
        read_only_fields = fields


class ProfileChangeSerializer(serializers.Serializer[Any]):
    full_name = Text(max_length=200, allow_blank=True, required=False)
    password = Text(max_length=128, trim_whitespace=False, required=False)


class ApiTokenSerializer(serializers.ModelSerializer[ApiToken]):
    class Meta:
        model = ApiToken
        fields = ["id", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at"]
        read_only_fields = fields


class NewApiTokenSerializer(ApiTokenSerializer):
    token = serializers.CharField(read_only=True, help_text="Shown only once.")

    class Meta(ApiTokenSerializer.Meta):
        fields = [*ApiTokenSerializer.Meta.fields, "token"]
        read_only_fields = fields


class ApiTokenCreateSerializer(serializers.Serializer[Any]):
    name = Text(max_length=100)
    scopes = serializers.MultipleChoiceField(choices=ApiToken.Scope.choices, allow_empty=False)
    expires_in_days = serializers.IntegerField(min_value=1, max_value=MAX_DAYS, default=90)
