"""Fields of this app's API bodies."""

from typing import Any

from rest_framework import serializers

from accounts.models import normalise_email
from zenzefi.common.api.fields import Text


class Email(Text, serializers.EmailField):
    """An e-mail in its normalised form, which is what the length limit holds for."""

    def to_internal_value(self, data: Any) -> str:
        return normalise_email(super().to_internal_value(data))
