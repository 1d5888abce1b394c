"""The keys in links for a new password. They end with the user's other credentials."""

from typing import Any

from allauth.account.forms import EmailAwarePasswordResetTokenGenerator


class ResetKeyGenerator(EmailAwarePasswordResetTokenGenerator):  # type: ignore[misc]  # allauth is untyped
    def check_token(self, user: Any, token: str | None) -> bool:
        """Return whether the key is valid; those of a blocked or deleted user never are."""
        return bool(user and user.is_active and super().check_token(user, token))

    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        generation = user.credentials_generation
        value: str = super()._make_hash_value(user, timestamp)
        return f"{value}:{generation}" if generation else value
