"""The text of an access token: made once, found by its digest, kept encrypted for its owner to see again."""

import hashlib
import logging
import secrets

from cryptography.fernet import InvalidToken

from zenzefi.common.encryption import cipher

logger = logging.getLogger(__name__)


def generate() -> str:
    """A new token: 64 URL-safe characters."""
    return secrets.token_urlsafe(48)


def digest(text: str) -> str:
    """The SHA-256 by which a token is found, as 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def encrypt(text: str) -> bytes:
    return cipher().encrypt(text.encode())


def decrypt(ciphertext: bytes | memoryview) -> str | None:
    """The token's text; None where its key is no longer among `TOKEN_ENCRYPTION_KEYS`."""
    try:
        return cipher().decrypt(bytes(ciphertext)).decode()
    except InvalidToken:
        logger.exception("an access token cannot be decrypted: its key is not among TOKEN_ENCRYPTION_KEYS")
        return None
