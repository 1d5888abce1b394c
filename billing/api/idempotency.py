"""The `Idempotency-Key` header of calls that move money."""

import re

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from accounts.requests import current_user
from billing.idempotency import Call

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[!-~]{1,200}")

IDEMPOTENCY_KEY = OpenApiParameter(
    name=HEADER,
    type={"type": "string", "pattern": "^[!-~]{1,200}$"},
    location=OpenApiParameter.HEADER,
    description="Makes the call safe to repeat: with the same key and body it acts once.",
)


def call_of(request: Request, name: str, *ids: object) -> Call:
    """Return the call for `billing.idempotency.once`. `ids` are the parameters of its path.

    Raises `ValidationError` if the key is malformed.
    """
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise ValidationError({HEADER: [_("1 to 200 visible ASCII characters are expected.")]})
    return Call(current_user(request), "/".join([name, *map(str, ids)]), key or "", request.data)
