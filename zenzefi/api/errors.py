"""Every error of the API as `{"detail", "code"}`; validation errors in DRF's own form."""

import logging
import sys
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_exception_handler

from accounts.errors import StateUnavailable
from zenzefi.outages import OUTAGES

logger = logging.getLogger(__name__)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's handler, with one shape for all but validation errors."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    response = rest_exception_handler(error, context)
    if response is None or not isinstance(error, exceptions.APIException):
        return response
    if isinstance(error, exceptions.ValidationError):
        if isinstance(response.data, list):
            response.data = {"non_field_errors": response.data}
        return response
    detail: Any = error.detail
    if isinstance(detail, dict):  # simplejwt nests its own
        response.data = {"detail": str(detail["detail"]), "code": str(detail.get("code", error.default_code))}
    else:
        response.data = {"detail": str(detail), "code": getattr(detail, "code", error.default_code)}
    if isinstance(error, exceptions.Throttled):
        response.data["code"] = "rate_limited"
    return response


def _respond(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    if f"{request.path}/".startswith("/api/"):
        return JsonResponse({"detail": detail, "code": code}, status=status)
    return render(request, "error.html", {"status": status, "detail": detail}, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _respond(request, 400, "bad_request", _("The request could not be understood."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _respond(request, 403, "permission_denied", _("You do not have permission to do this."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _respond(request, 403, "csrf_failed", _("This form has expired. Reload the page and try again."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _respond(request, 404, "not_found", _("There is nothing here. Check the address."))


def server_error(request: HttpRequest) -> HttpResponse:
    if isinstance(sys.exc_info()[1], OUTAGES):
        unavailable = StateUnavailable()
        response = _respond(request, 503, unavailable.default_code, str(unavailable.detail))
        response["Retry-After"] = str(unavailable.wait)
        return response
    return _respond(request, 500, "internal_error", _("Something went wrong on our side. We have been told."))
