"""The reason that an operator has to state for an action."""

from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise
from rest_framework.exceptions import ValidationError

MAX_LENGTH = 500  # characters


def check_reason(reason: str, missing: StrOrPromise) -> None:
    """Raise `ValidationError` for the field `reason` if it is empty, with the message `missing`, or too long."""
    if not reason:
        raise ValidationError({"reason": [missing]})
    if len(reason) > MAX_LENGTH:
        raise ValidationError({"reason": [_("At most 500 characters.")]})
