"""The secret of an access token: generated once, looked up by its digest, stored encrypted for its owner."""

import logging
import secrets

from cryptography.fernet import InvalidToken

from zenzefi.common.encryption import cipher

logger = logging.getLogger(__name__)


def generate() -> str:
    """Return a new secret of 64 URL-safe characters."""
    return secrets.token_urlsafe(48)


def encrypt(secret: str) -> bytes:
    """Return the secret encrypted with the newest key of `TOKEN_ENCRYPTION_KEYS`."""
    return cipher().encrypt(secret.encode())


def decrypt(ciphertext: bytes | memoryview) -> str | None:
    """Return the secret; None if its key is no longer in `TOKEN_ENCRYPTION_KEYS`."""
    try:
        return cipher().decrypt(bytes(ciphertext)).decode()
    except InvalidToken:
        logger.exception("token_decryption_failed", extra={"hint": "Add the old key to TOKEN_ENCRYPTION_KEYS."})
        return None
