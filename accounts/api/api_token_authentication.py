"""`Authorization: Bearer zat_…`: personal API tokens, for what a view lets them do and nothing else."""

from typing import TYPE_CHECKING

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import api_tokens
from accounts.errors import ScopeMissing
from accounts.models import ApiToken, User
from accounts.requests import bearer_token

if TYPE_CHECKING:  # DRF's views import this module by its settings
    from rest_framework.views import APIView


class ApiTokenAuthentication(BaseAuthentication):
    """A view names the scope of each of its methods in `api_token_scopes`; what it does not name is refused.

    Refused here and not by a permission: a view may replace those.
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
    """The scope an API token needs for a call of the view; None where no API token may make it."""
    scopes: dict[str, str] = getattr(view, "api_token_scopes", {})
    return scopes.get(method)
