"""What views read from a request."""

from typing import cast

from rest_framework.authentication import get_authorization_header
from rest_framework.request import Request

from accounts.models import User


def user_of(request: Request) -> User:
    """The user of an authenticated call."""
    return cast("User", request.user)


def address_of(request: Request) -> str:
    """The client's IP address; forwarding is resolved before Django. Empty behind a Unix socket."""
    return str(request.META.get("REMOTE_ADDR", ""))


def user_agent_of(request: Request) -> str:
    return str(request.META.get("HTTP_USER_AGENT", ""))


def bearer_token(request: Request) -> str:
    """What `Authorization: Bearer …` carries; empty without one."""
    scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
