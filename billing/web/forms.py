"""Forms for moving money and for choosing a period."""

import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing import providers
from billing.idempotency import Call
from billing.models import TransactionType
from billing.statements import MAX_PERIOD
from zenzefi.common import keyed_form
from zenzefi.common.hundredths import CENT
from zenzefi.common.time_zones import midnight

_FIRST, _LAST = date(2000, 1, 1), date(2999, 12, 30)


class KeyedForm(keyed_form.KeyedForm):
    """A form that moves money once per key."""

    def renew_key(self) -> None:
        """Set a new key, so that the form is a new call if it is sent again."""
        self.data = {**cast("QueryDict", self.data).dict(), "key": str(uuid.uuid4())}

    def call(self, user: User, name: str, *ids: object) -> Call:
        """Return the call of a valid form for `billing.idempotency.once`. `ids` are the parameters of its path."""
        body = {name: value for name, value in self.cleaned_data.items() if name != "key"}
        return Call(user, "/".join([name, *map(str, ids)]), self.cleaned_data["key"], body)


class AmountField(forms.DecimalField):
    """An amount as users type it: `10.5`, `10,50`, `1 000`.

    It is a text field, because browsers drop a comma typed into a number field: 10,5 becomes 105.
    """

    widget = forms.TextInput

    def to_python(self, value: Any) -> Any:
        return super().to_python("".join(str(value or "").split()).replace(",", "."))


class TopUpForm(KeyedForm):
    """A top-up: an amount in ZNC, and a provider if several are offered."""

    amount = AmountField(
        label=_("Amount, ZNC"),
        min_value=CENT,
        max_value=settings.MAX_DEPOSIT,
        decimal_places=2,
        widget=forms.TextInput({"inputmode": "decimal"}),
        error_messages={
            "min_value": _("The smallest amount is %(limit_value).2f ZNC."),
            "max_value": _("The largest amount is %(limit_value).2f ZNC."),
        },
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = [(name, providers.LABELS[name]) for name in settings.PAYMENT_PROVIDERS]
        widget = forms.RadioSelect if len(offered) > 1 else forms.HiddenInput
        self.fields["provider"] = forms.ChoiceField(
            label=_("Pay with"), choices=offered, initial=next(iter(settings.PAYMENT_PROVIDERS), ""), widget=widget
        )

    def clean_amount(self) -> Decimal:
        amount: Decimal = self.cleaned_data["amount"]
        return amount.quantize(CENT)


def _day(label: Any) -> forms.DateField:
    """Return a date field limited to dates that every time zone and database supports."""
    return forms.DateField(
        label=label,
        required=False,
        validators=[MinValueValidator(_FIRST), MaxValueValidator(_LAST)],
        widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"),
    )


class HistoryForm(forms.Form):
    """A selection of movements: by type, and by first and last day (both included) in the user's time zone."""

    type = forms.ChoiceField(label=_("Type"), required=False, choices=[("", _("All")), *TransactionType.choices])
    since = _day(_("From"))
    until = _day(_("To"))

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        since, until = data.get("since"), data.get("until")
        if since and until and until < since:
            self.add_error("until", gettext("The last day is before the first day."))
        return data

    def instants(self) -> tuple[datetime, datetime]:
        """Return the period as start (included) and end (excluded). An open end lies beyond all data."""
        since, until = self.cleaned_data["since"] or _FIRST, self.cleaned_data["until"] or _LAST
        zone = timezone.get_current_timezone()
        return midnight(since, zone), midnight(until + timedelta(days=1), zone)


class StatementForm(HistoryForm):
    """The period of a statement. By default it covers the last year, up to today."""

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        data["until"] = data.get("until") or timezone.localdate()
        data["since"] = data.get("since") or data["until"] - timedelta(days=MAX_PERIOD.days - 1)
        if data["until"] - data["since"] >= MAX_PERIOD:
            message = gettext(
                "A statement covers at most %(days)d days. Request several statements for a longer period."
            )
            self.add_error("since", message % {"days": MAX_PERIOD.days})
        return data
