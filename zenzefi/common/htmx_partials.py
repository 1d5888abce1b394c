"""Parts of pages that htmx reloads."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

View = TypeVar("View", bound=Callable[..., Any])


def htmx_partial(view: View) -> View:
    """Turn a view into one for a part of a page, which responds with 401 if the user is not logged in.

    htmx ignores a 401. After a redirect it would show the login page inside the page.
    """

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not request.user.is_authenticated:
            return HttpResponse(status=401)
        return view(request, *args, **kwargs)

    return cast("View", never_cache(require_safe(checked)))
