"""Secrets that must be read again, such as those of authenticators, are kept encrypted."""

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings


def cipher() -> MultiFernet:
    """By `TOKEN_ENCRYPTION_KEYS`: the first key writes, all of them read."""
    return MultiFernet([Fernet(key) for key in settings.TOKEN_ENCRYPTION_KEYS])
