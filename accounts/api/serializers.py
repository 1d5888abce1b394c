"""Bodies of the account API."""

from typing import Any

from rest_framework import serializers

from accounts.api.fields import Email, Text
from accounts.models import User, username_form


class Registration(serializers.Serializer[Any]):
    email = Email(max_length=254)
    username = Text(max_length=64, validators=[username_form])
    password = Text(max_length=128, trim_whitespace=False)
    full_name = Text(max_length=200, allow_blank=True, required=False)
    referral_code = Text(max_length=16, allow_blank=True, required=False)


class Credentials(serializers.Serializer[Any]):
    email = Email(max_length=254)
    password = Text(trim_whitespace=False)


class Refresh(serializers.Serializer[Any]):
    refresh_token = Text(required=False)


class TokenPair(serializers.Serializer[Any]):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.ChoiceField(choices=["bearer"])
    expires_in = serializers.IntegerField(help_text="Life of the access token in seconds.")


class Detail(serializers.Serializer[Any]):
    detail = serializers.CharField()


class Error(Detail):
    code = serializers.CharField()


class UserAccount(serializers.ModelSerializer[User]):
    currency_balance = serializers.DecimalField(None, 2, source="wallet.balance", read_only=True, help_text="ZNC")

    class Meta:
        model = User
        fields = ["id", "email", "username", "full_name", "currency_balance", "is_active", "created_at"]
        read_only_fields = fields


class Profile(UserAccount):
    class Meta(UserAccount.Meta):
        fields = [*UserAccount.Meta.fields, "updated_at"]
        read_only_fields = fields


class ProfileChange(serializers.Serializer[Any]):
    full_name = Text(max_length=200, allow_blank=True, required=False)
    password = Text(max_length=128, trim_whitespace=False, required=False)
