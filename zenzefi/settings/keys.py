"""Keys for signatures and encryption."""

import re
import secrets

from cryptography.fernet import Fernet

from zenzefi import env, problems
from zenzefi.settings.deployment import DATA_DIR, ENVIRONMENT, PRODUCTION

_PLACEHOLDER = re.compile(r"\Adjango-insecure-|change.?me|replace.?me|your.?secret", re.IGNORECASE)
_given_secret_key = env.text("SECRET_KEY")
_given_encryption_keys = env.fernet_keys("TOKEN_ENCRYPTION_KEYS")
if not PRODUCTION:
    SECRET_KEY = _given_secret_key or env.generated_secret(DATA_DIR / "secret_key", lambda: secrets.token_urlsafe(64))
    TOKEN_ENCRYPTION_KEYS = _given_encryption_keys or [
        env.generated_secret(DATA_DIR / "token_encryption_key", lambda: Fernet.generate_key().decode())
    ]
else:
    SECRET_KEY, TOKEN_ENCRYPTION_KEYS = _given_secret_key, _given_encryption_keys
if PRODUCTION and not TOKEN_ENCRYPTION_KEYS and env.is_usable("TOKEN_ENCRYPTION_KEYS"):
    problems.add(
        f"ENVIRONMENT=production needs TOKEN_ENCRYPTION_KEYS, one or more Fernet keys. {env.MAKE_FERNET_KEY}"
    )
# HS256 needs a key of at least 32 bytes (RFC 7518 §3.2).
_min_length = 50 if PRODUCTION else 32
if len(SECRET_KEY) < _min_length:
    problems.add(
        f"ENVIRONMENT={ENVIRONMENT} needs a SECRET_KEY of at least {_min_length} characters. {env.MAKE_SECRET_KEY}"
    )
elif PRODUCTION and _PLACEHOLDER.search(SECRET_KEY):
    problems.add(f"ENVIRONMENT=production: SECRET_KEY is a placeholder that others know. {env.MAKE_SECRET_KEY}")
