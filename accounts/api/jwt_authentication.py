"""Authentication by `Authorization: Bearer …` with a JWT whose user has not ended it."""

from rest_framework_simplejwt import authentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.tokens import Token

from accounts import credentials
from accounts.models import User


class JWTAuthentication(authentication.JWTAuthentication):
    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]
        user: User = super().get_user(validated_token)  # type: ignore[assignment]
        if not credentials.is_current(user, validated_token.payload):
            raise InvalidToken
        return user
