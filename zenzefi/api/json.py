"""JSON parser and renderer: money as exact numbers, and only text that databases and clients accept."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

import simplejson
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.renderers import JSONRenderer as RestJSONRenderer
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder


class PayloadTooLarge(APIException):
    """The body exceeds `API_MAX_BODY_BYTES`."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "payload_too_large"
    default_detail = _("The request body is too large. The limit is 1 MiB.")


class JSONParser(BaseParser):
    """Parser of strict JSON (RFC 8259). Numbers with a decimal point become `Decimal`.

    NaN, lone surrogates and very deep nesting are errors.
    """

    media_type = "application/json"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = stream.read(settings.API_MAX_BODY_BYTES + 1)
        if len(body) > settings.API_MAX_BODY_BYTES:
            raise PayloadTooLarge
        return loads(body)


def loads(body: bytes) -> Any:
    """Return the parsed body. Raise DRF's `ParseError`, with a sentence for the user, if it is not strict JSON."""
    try:
        data = json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_raise_for_constant)
        # json.loads accepts a lone surrogate ("\ud800"), but no database does.
        simplejson.dumps(data, ensure_ascii=False).encode("utf-8")
    except UnicodeError as error:
        raise ParseError(_("The request body is not valid UTF-8 text.")) from error
    except RecursionError as error:
        raise ParseError(_("The request body is nested too deeply.")) from error
    except (ValueError, ArithmeticError) as error:  # ArithmeticError: an exponent too large for Decimal
        raise ParseError(_("The request body is not valid JSON.")) from error
    return data


def _raise_for_constant(name: str) -> NoReturn:
    raise ValueError(name)


class JSONRenderer(RestJSONRenderer):
    """DRF's renderer, but `Decimal` is an exact JSON number instead of a string."""

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        if data is None:
            return b""
        text = simplejson.dumps(
            data, default=JSONEncoder().default, use_decimal=True, ensure_ascii=False, separators=(",", ":")
        )
        return text.encode("utf-8")


class AlwaysJSON(DefaultContentNegotiation):
    """Negotiation that always chooses JSON. RFC 9110 §12.5.1 allows servers to disregard `Accept`."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type
