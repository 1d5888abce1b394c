"""Typed settings from the environment and `.env`.

If a value is not valid, a reader adds a problem that names the setting, the value and what is expected, and returns
the default, so that the start can name all problems at once (`zenzefi.problems`). If `NAME` is not set, the readers
use the file named by `NAME_FILE`, for secrets that are mounted as files.
"""

from django.core.exceptions import ImproperlyConfigured

from zenzefi.env.addresses import Network, host, networks, origin, url
from zenzefi.env.files import authorities, client_certificate, existing_file, generated_secret
from zenzefi.env.reading import MAKE_FERNET_KEY, MAKE_SECRET_KEY, is_usable, load_dotenv, text, words, wrong
from zenzefi.env.services import database, email, redis, service_url
from zenzefi.env.values import (
    boolean,
    choice,
    currency,
    fernet_keys,
    integer,
    money,
    price,
    providers,
    rate,
    seconds,
    secret,
    secret_words,
)

__all__ = [
    "MAKE_FERNET_KEY",
    "MAKE_SECRET_KEY",
    "ImproperlyConfigured",
    "Network",
    "authorities",
    "boolean",
    "choice",
    "client_certificate",
    "currency",
    "database",
    "email",
    "existing_file",
    "fernet_keys",
    "generated_secret",
    "host",
    "integer",
    "is_usable",
    "load_dotenv",
    "money",
    "networks",
    "origin",
    "price",
    "providers",
    "rate",
    "redis",
    "seconds",
    "secret",
    "secret_words",
    "service_url",
    "text",
    "url",
    "words",
    "wrong",
]
