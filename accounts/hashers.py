"""The password hasher: Django's, with few hashes at a time, and without a database connection meanwhile."""

import os
import threading

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from zenzefi.common.postgresql import release_connection

# A hash takes a processor for a third of a second. The other processors stay free for the gateway.
_at_a_time = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // 2))


class PasswordHasher(PBKDF2PasswordHasher):
    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        release_connection()
        with _at_a_time:
            return super().encode(password, salt, iterations)
