"""Keys for signatures and encryption."""

import secrets

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from zenzefi import env
from zenzefi.settings.deployment import DATA_DIR, ENVIRONMENT, PRODUCTION

_given_secret_key = env.text("SECRET_KEY")
_given_encryption_keys = env.fernet_keys("TOKEN_ENCRYPTION_KEYS")
if not PRODUCTION:
    SECRET_KEY = _given_secret_key or env.generated_secret(DATA_DIR / "secret_key", lambda: secrets.token_urlsafe(64))
    TOKEN_ENCRYPTION_KEYS = _given_encryption_keys or [
        env.generated_secret(DATA_DIR / "token_encryption_key", lambda: Fernet.generate_key().decode())
    ]
else:
    SECRET_KEY, TOKEN_ENCRYPTION_KEYS = _given_secret_key, _given_encryption_keys
if PRODUCTION and not TOKEN_ENCRYPTION_KEYS:
    raise ImproperlyConfigured(
        f"ENVIRONMENT=production needs TOKEN_ENCRYPTION_KEYS, one or more Fernet keys. {env.MAKE_FERNET_KEY}"
    )
# HS256 needs a key of at least 32 bytes (RFC 7518 §3.2).
_min_length = 50 if PRODUCTION else 32
if len(SECRET_KEY) < _min_length:
    raise ImproperlyConfigured(
        f"ENVIRONMENT={ENVIRONMENT} needs a SECRET_KEY of at least {_min_length} characters. "
        'Make one with `python -c "import secrets; print(secrets.token_urlsafe(64))"`.'
    )
