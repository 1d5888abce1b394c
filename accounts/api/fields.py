"""Fields of this app's API bodies."""

from typing import Any

from rest_framework import serializers

from accounts.models import normalise_email
from zenzefi.common.api.fields import Text


class Email(Text, serializers.EmailField):
    """An e-mail address in its normalised form; the length limit applies to that form."""

    def to_internal_value(self, data: Any) -> str:
        return normalise_email(super().to_internal_value(data))
