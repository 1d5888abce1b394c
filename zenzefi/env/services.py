"""Settings that are URLs of services. Errors do not show a URL, because it contains the password."""

from typing import Any
from urllib.parse import quote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from zenzefi.common.redis_urls import RedisURL
from zenzefi.env.reading import collecting, is_usable, raw_text, wrong_secret
from zenzefi.env.values import integer


@collecting
def service_url(name: str, scheme: str, prefix: str, *, user: str, port: int) -> str:
    """Return the URL of a service, or an empty text.

    It is `NAME`, or built from `PREFIX_SERVER` or `PREFIX_HOST`, `_PORT`, `_USER`, `_PASSWORD` and `_DB`.
    """
    given = raw_text(name)
    if given:
        return given
    host = raw_text(f"{prefix}_SERVER") or raw_text(f"{prefix}_HOST")
    if not host:
        return ""
    password = raw_text(f"{prefix}_PASSWORD")
    login = raw_text(f"{prefix}_USER", user)
    credentials = f"{quote(login, safe='')}{':' + quote(password, safe='') if password else ''}@"
    number = integer(f"{prefix}_PORT", port, low=1, high=65_535)
    database = raw_text(f"{prefix}_DB", "0" if scheme == "redis" else "zenzefi")
    return f"{scheme}://{credentials if login or password else ''}{host}:{number}/{database}"


@collecting
def database(name: str, default: str) -> dict[str, Any]:
    """Return Django's configuration of the database with a URL; PostgreSQL's options are checked.

    The errors do not show the URL, which contains the password.
    """
    given = service_url(name, "postgres", "POSTGRES", user="postgres", port=5432)
    if given and is_usable(name) and urlsplit(given).scheme not in ("postgres", "postgresql", "sqlite"):
        raise wrong_secret(name, "a URL that starts with postgres://, postgresql:// or sqlite://")
    try:
        found: dict[str, Any] = environ.Env.db_url_config(given if given and is_usable(name) else default)
        if "postgresql" in found["ENGINE"]:
            make_conninfo("", **found.get("OPTIONS", {}))
    except (ValueError, ProgrammingError) as error:
        raise wrong_secret(name, f"a URL such as postgres://user:password@host:5432/name ({error})") from None
    mode = found.get("OPTIONS", {}).get("sslmode", "prefer")
    if mode not in _TLS_MODES:
        raise wrong_secret(name, f"a URL with sslmode={' or '.join(_TLS_MODES)}")
    return found


_TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@collecting
def redis(name: str, prefix: str, *, ca_file: str) -> RedisURL | None:
    """Return the server of Redis, or None. The errors do not show the URL, which contains the password."""
    given = service_url(name, "redis", prefix, user="", port=6379)
    if not given or not is_usable(name):
        return None
    try:
        found = RedisURL.parse(given, ca_file)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} cannot be used: it must {error}.") from None
    if ca_file and found.scheme != "rediss":
        raise ImproperlyConfigured(f"REDIS_CA_FILE is set, but {name} uses no TLS. Set it to a rediss:// URL.")
    return found


@collecting
def email(name: str, default: str) -> dict[str, Any]:
    """Return Django's settings of e-mail for a URL. The errors do not show the URL, which contains the password."""
    try:
        found: dict[str, Any] = environ.Env.email_url_config(raw_text(name) or default)
    except (ImproperlyConfigured, KeyError, ValueError):
        raise wrong_secret(name, "a URL such as smtp+tls://user:password@host:587") from None
    return found
