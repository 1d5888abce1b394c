"""Digests by which stored secrets are found again."""

import hashlib


def secret_digest(secret: str | bytes) -> str:
    """Return the SHA-256 of a secret as 64 hexadecimal digits.

    The database keeps it instead of the secret, which is random and long enough to need no salt.
    """
    if isinstance(secret, str):
        secret = secret.encode("utf-8", "surrogateescape")
    return hashlib.sha256(secret).hexdigest()
