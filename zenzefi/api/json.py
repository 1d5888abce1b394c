"""JSON in and out: money as exact numbers, and nothing that a database or a client could choke on."""

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
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "payload_too_large"
    default_detail = _("The request body is too large: at most 1 MiB is accepted.")


class JSONParser(BaseParser):
    """Strict JSON (RFC 8259): numbers with a point become `Decimal`; NaN, lone surrogates and abysses are refused."""

    media_type = "application/json"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = stream.read(settings.API_MAX_BODY_BYTES + 1)
        if len(body) > settings.API_MAX_BODY_BYTES:
            raise PayloadTooLarge
        return loads(body)


def loads(body: bytes) -> Any:
    """The parsed body. Raises DRF's `ParseError` with a sentence for whatever is not strict JSON."""
    try:
        data = json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse_constant)
        # A lone surrogate ("\ud800") parses but is no text: no database takes it.
        simplejson.dumps(data, ensure_ascii=False).encode("utf-8")
    except UnicodeError as error:
        raise ParseError(_("The request body is not valid UTF-8 text.")) from error
    except RecursionError as error:
        raise ParseError(_("The request body is nested too deeply.")) from error
    except (ValueError, ArithmeticError) as error:  # ArithmeticError: an exponent beyond what Decimal holds
        raise ParseError(_("The request body is not valid JSON.")) from error
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


class JSONRenderer(RestJSONRenderer):
    """DRF's renderer, with `Decimal` as an exact JSON number instead of a string."""

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        if data is None:
            return b""
        text = simplejson.dumps(
            data, default=JSONEncoder().default, use_decimal=True, ensure_ascii=False, separators=(",", ":")
        )
        return text.encode("utf-8")


class AlwaysJSON(DefaultContentNegotiation):
    """The API speaks JSON whatever the `Accept` header says (RFC 9110 §12.5.1 allows to disregard it)."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type
