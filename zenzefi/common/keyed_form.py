"""Forms with an idempotency key."""

import uuid

from django import forms
from django.core.exceptions import BadRequest


class KeyedForm(forms.Form):
    """A form with an idempotency key, so that sending it twice has the effect of sending it once."""

    key = forms.CharField(widget=forms.HiddenInput, initial=lambda: str(uuid.uuid4()))

    def clean_key(self) -> str:
        try:
            return str(uuid.UUID(self.cleaned_data["key"]))
        except ValueError:
            raise BadRequest("the key of the form was changed") from None
