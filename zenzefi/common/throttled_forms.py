"""Too many attempts, said on a form: the page that shows it answers 429 with `Retry-After`."""

import math
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.utils.translation import ngettext
from rest_framework.exceptions import Throttled

_CODE = "throttled"


def throttled_error(refused: Throttled) -> ValidationError:
    """The refusal as an error of a form."""
    wait = getattr(refused, "wait", None) or 1  # seconds; DRF sets it
    minutes = math.ceil(wait / 60)
    text = ngettext(
        "Too many attempts. Try again in %(minutes)d minute.",
        "Too many attempts. Try again in %(minutes)d minutes.",
        minutes,
    )
    return ValidationError(text, _CODE, {"minutes": minutes, "wait": int(wait)})


def with_throttled_status(response: HttpResponse, form: Any) -> HttpResponse:
    """The page of a form: 429 where the form was refused with `throttled_error`."""
    errors = [error for errors in form.errors.as_data().values() for error in errors] if form.is_bound else []
    for error in errors:
        if error.code == _CODE:
            response.status_code = 429
            response["Retry-After"] = str(error.params["wait"])
    return response


class ThrottledFormMixin:
    """A view with a form: 429 where the form was refused with `throttled_error`."""

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().render_to_response(context, **kwargs)  # type: ignore[misc]
        return with_throttled_status(response, context["form"])
