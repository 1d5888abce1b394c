"""Errors of the API as `{"detail", "code"}`, validation errors in DRF's form, and the error pages of the site."""

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
from structlog.contextvars import get_contextvars

from zenzefi.common.errors import OUTAGES, StateUnavailable

logger = logging.getLogger(__name__)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return DRF's response, in one shape for all errors except validation errors."""
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
    if isinstance(detail, dict):  # simplejwt nests its detail
        response.data = {"detail": str(detail["detail"]), "code": str(detail.get("code", error.default_code))}
    else:
        response.data = {"detail": str(detail), "code": getattr(detail, "code", error.default_code)}
    if isinstance(error, exceptions.Throttled):
        response.data["code"] = "rate_limited"
    return response


def _respond(request: HttpRequest, status: int, code: str, detail: str, advice: str = "") -> HttpResponse:
    """Return `detail` as JSON on a path of the API, else a page with `detail` and `advice` that needs no database."""
    if f"{request.path}/".startswith("/api/"):
        return JsonResponse({"detail": detail, "code": code}, status=status)
    page = {"status": status, "detail": detail, "advice": advice, "request_id": get_contextvars().get("request_id")}
    return render(request, "error.html", page, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the response for a request that Django cannot parse."""
    advice = _("Go back and try again. If a link brought you here, it may be incomplete.")
    return _respond(request, 400, "bad_request", _("The request is not valid."), advice)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the response for a missing permission."""
    advice = _("You may be logged in with the wrong account. Log in with the right one.")
    return _respond(request, 403, "permission_denied", _("You do not have permission to do this."), advice)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Return the response for a form without a valid CSRF token."""
    advice = _("Go back first to keep what you typed. Your browser must accept cookies from this site.")
    detail = _("This form has expired. Reload the page and try again.")
    return _respond(request, 403, "csrf_failed", detail, advice)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the response for an unknown path or object."""
    advice = _("The link may be out of date, or the page may belong to another account.")
    return _respond(request, 404, "not_found", _("Nothing was found at this address. Check the address."), advice)


def too_many_requests(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Return the response for too many attempts, as allauth counts them."""
    return _respond(request, 429, "rate_limited", _("Too many attempts."), _("Wait a few minutes and try again."))


def server_error(request: HttpRequest) -> HttpResponse:
    """Return the response for an exception that no view has handled."""
    error = sys.exc_info()[1]
    if isinstance(error, OUTAGES):
        error = StateUnavailable()
    if isinstance(error, exceptions.APIException):
        return _respond_to_api_exception(request, error)
    advice = _("Try again in a few minutes. If the error persists, send us the request ID below.")
    detail = _("Something went wrong on our side. The error has been logged.")
    return _respond(request, 500, "internal_error", detail, advice)


def _respond_to_api_exception(request: HttpRequest, error: exceptions.APIException) -> HttpResponse:
    """Return the response for an error of a service that no view has handled, and for outages."""
    advice = _("Your balance and your tokens are safe.") if isinstance(error, StateUnavailable) else ""
    response = _respond(request, error.status_code, error.default_code, str(error.detail), advice)
    if wait := getattr(error, "wait", None):
        response["Retry-After"] = str(wait)
    return response
