"""Forms that show a rate limit, on pages with status 429 and `Retry-After`."""

import math
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.utils.translation import ngettext
from rest_framework.exceptions import Throttled

_CODE = "throttled"


def throttled_error(error: Throttled) -> ValidationError:
    """Return the error of an exceeded rate limit for a form to show."""
    wait = getattr(error, "wait", None) or 1  # seconds, set by DRF
    minutes = math.ceil(wait / 60)
    text = ngettext(
        "Too many attempts. Try again in %(minutes)d minute.",
        "Too many attempts. Try again in %(minutes)d minutes.",
        minutes,
    )
    return ValidationError(text, _CODE, {"minutes": minutes, "wait": int(wait)})


def with_throttled_status(response: HttpResponse, form: Any) -> HttpResponse:
    """Return the page of a form, with status 429 if the form has a `throttled_error`."""
    errors = [error for errors in form.errors.as_data().values() for error in errors] if form.is_bound else []
    for error in errors:
        if error.code == _CODE:
            response.status_code = 429
            response["Retry-After"] = str(error.params["wait"])
    return response


class ThrottledFormMixin:
    """A view with a form, which responds with 429 if the form has a `throttled_error`."""

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        """Return the page, with the status that its form requires."""
        response: HttpResponse = super().render_to_response(context, **kwargs)  # type: ignore[misc]
        return with_throttled_status(response, context["form"])
