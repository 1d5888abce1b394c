"""Forms about access tokens."""

from typing import Any

from django import forms

from access.models import Scope
from billing.web.forms import KeyedForm


class ExtensionForm(KeyedForm):
    duration_hours = forms.IntegerField(min_value=1, max_value=87_600)


class PurchaseForm(ExtensionForm):
    scope = forms.ChoiceField(choices=Scope.choices)


class RevocationForm(KeyedForm):
    pass


class ChoiceQuery(forms.Form):
    """The initial choice on a page that sells time, from the query string. Invalid values are ignored."""

    scope = forms.ChoiceField(choices=Scope.choices, required=False)
    duration_hours = forms.IntegerField(min_value=1, max_value=87_600, required=False)

    def choice(self) -> dict[str, Any]:
        """Return the valid values."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}
