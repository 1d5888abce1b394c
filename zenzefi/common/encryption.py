"""Encryption of stored secrets that have to be read again, such as those of authenticators."""

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings


def cipher() -> MultiFernet:
    """Return a cipher that encrypts with the first of `TOKEN_ENCRYPTION_KEYS` and decrypts with all of them."""
    return MultiFernet([Fernet(key) for key in settings.TOKEN_ENCRYPTION_KEYS])
