"""User names made from e-mail addresses, for users who choose none."""

import re
import secrets

_FORBIDDEN = re.compile(r"[^\w.+-]")
_LONGEST = 50  # characters of the address; with the suffix the name fits into the column


def from_email(email: str) -> str:
    """Return a user name: the local part of the address and random characters.

    They are always added. If only a taken name had them, a sign-up would reveal which names exist.
    """
    local = _FORBIDDEN.sub("", email.partition("@")[0])[:_LONGEST]
    return f"{local or 'user'}-{secrets.token_hex(4)}"
