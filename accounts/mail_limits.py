"""The limit of messages that a stranger can cause to a user, such as links for a new password.

A message above the limit is silently not sent: the stranger must not learn whether the address belongs to a user.
"""

from uuid import UUID

from django.conf import settings

from zenzefi.common.rate_limits import RateLimit

_PAUSE = "1/minute"


def may_send(kind: str, user_id: UUID) -> bool:
    """Count a message to the user. Return False if the last one is less than a minute old, or there were too many.

    `RATE_LIMIT_MAIL` is the number per user and kind; an empty value switches the pause off, too.
    """
    if not settings.RATE_LIMIT_MAIL:
        return True
    pause, total = RateLimit(f"mail:{kind}:pause", _PAUSE), RateLimit(f"mail:{kind}", settings.RATE_LIMIT_MAIL)
    return pause.hit(str(user_id)) and total.hit(str(user_id))
