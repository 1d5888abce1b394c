"""Authentication by `Authorization: Bearer zat_…`: personal API tokens, limited to their scopes."""

from typing import TYPE_CHECKING

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import api_tokens
from accounts.errors import ScopeMissing
from accounts.models import ApiToken, User
from accounts.requests import bearer_token

if TYPE_CHECKING:  # DRF's views import this module through its settings
    from rest_framework.views import APIView


class ApiTokenAuthentication(BaseAuthentication):
    """API tokens. A view names the scope that each method needs in `api_token_scopes`; other methods are denied.

    The scope is checked here and not in a permission class, because a view may replace its permission classes.
    """

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        text = bearer_token(request)
        if not text.startswith(api_tokens.PREFIX):
            return None
        token = api_tokens.authenticate(text)
        if scope_of((request.parser_context or {}).get("view"), request.method or "") not in token.scopes:
            raise ScopeMissing
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


def scope_of(view: "APIView | None", method: str) -> str | None:
    """Return the scope that an API token needs for the view's method, or None if no API token may call it."""
    scopes: dict[str, str] = getattr(view, "api_token_scopes", {})
    return scopes.get(method)
