"""Facts about a request: its user, client and credentials."""

from typing import cast

from django.http import HttpRequest
from rest_framework.authentication import get_authorization_header
from rest_framework.request import Request

from accounts.models import User


def current_user(request: HttpRequest | Request) -> User:
    """Return the user of an authenticated request; the permission or decorator of the view has checked that."""
    return cast("User", request.user)


def address_of(request: HttpRequest | Request) -> str:
    """Return the client's IP address, or an empty string behind a Unix socket.

    The address forwarded by a trusted proxy has replaced the proxy's own before Django sees the request.
    """
    return str(request.META.get("REMOTE_ADDR", ""))


def user_agent_of(request: HttpRequest | Request) -> str:
    """Return the `User-Agent` header, or an empty string."""
    return str(request.META.get("HTTP_USER_AGENT", ""))


def bearer_token(request: Request) -> str:
    """Return the token of `Authorization: Bearer …`, or an empty string."""
    scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
