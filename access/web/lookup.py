"""The tokens of who is signed in."""

from typing import cast
from uuid import UUID

from django.http import Http404, HttpRequest

from access import selectors
from access.models import AccessToken
from accounts.models import User


def get_own_token_or_404(request: HttpRequest, token_id: UUID) -> AccessToken:
    """The user's token; to others it is not there."""
    token = selectors.tokens_of(cast("User", request.user)).filter(pk=token_id).first()
    if token is None:
        raise Http404
    return token
