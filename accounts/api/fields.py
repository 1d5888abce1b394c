"""Fields for API bodies."""

from typing import Any

from rest_framework import serializers

from accounts.models import normalise_email


class Text(serializers.CharField):
    """A JSON string; DRF's own field takes numbers, too."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Email(Text, serializers.EmailField):
    """An e-mail in its normalised form, which is what the length limit holds for."""

    def to_internal_value(self, data: Any) -> str:
        return normalise_email(super().to_internal_value(data))
