"""The lookup of the token in a page's URL."""

from uuid import UUID

from django.http import Http404, HttpRequest

from access import selectors
from access.models import AccessToken
from accounts.requests import current_user


def get_own_token_or_404(request: HttpRequest, token_id: UUID) -> AccessToken:
    """Return the user's token. Raise `Http404` if the token does not exist or belongs to another user."""
    token = selectors.tokens_of(current_user(request)).filter(pk=token_id).first()
    if token is None:
        raise Http404
    return token
