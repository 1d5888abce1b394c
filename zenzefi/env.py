"""Typed settings from the environment and `.env`.

If a value is not valid, the readers raise `django.core.exceptions.ImproperlyConfigured`, with a message that names
the setting, the value and what is expected. If `NAME` is not set, they read the file named by `NAME_FILE`, for
secrets that are mounted as files.
"""

import ipaddress
import os
import re
import secrets
import ssl
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import quote, urlsplit

import environ
import limits
from babel.numbers import is_currency
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from zenzefi.common.currencies import MORE_THAN_TWO_DECIMALS

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAKE_FERNET_KEY = (
    'Make one with `python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"`.'
)

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def load_dotenv(path: Path) -> None:
    """Read `.env`. Variables of the environment take precedence."""
    if path.is_file():
        environ.Env.read_env(path)


def wrong(name: str, value: str, expected: str) -> ImproperlyConfigured:
    """Return the exception for a value that is not valid."""
    return ImproperlyConfigured(f"{name}={value!r} cannot be used: it must be {expected}.")


def text(name: str, default: str = "") -> str:
    """Return the setting, else the content of the file named by `NAME_FILE`, else `default`; stripped."""
    value = os.environ.get(name)
    path = os.environ.get(f"{name}_FILE")
    if value is None and path:
        try:
            value = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise wrong(f"{name}_FILE", path, f"a readable file ({error.strerror})") from error
    return default if value is None else value.strip()


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """Return one of the allowed values."""
    value = text(name, default)
    if value not in allowed:
        raise wrong(name, value, " or ".join(allowed))
    return value


def boolean(name: str, *, default: bool) -> bool:
    """Return a truth value, such as `true` or `off`."""
    value = text(name).lower()
    if not value:
        return default
    if value not in _TRUE | _FALSE:
        raise wrong(name, value, "true or false")
    return value in _TRUE


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """Return a whole number from `low` to `high`."""
    value = text(name) or str(default)
    try:
        number = int(value)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise wrong(name, value, f"a whole number from {low} to {high}")
    return number


def seconds(name: str, default: float, *, high: float = 86_400) -> float:
    """Return a duration in seconds, above zero."""
    value = text(name) or str(default)
    try:
        number = float(value)
    except ValueError:
        number = 0
    if not 0 < number <= high:
        raise wrong(name, value, f"a number of seconds above 0 and up to {high:g}")
    return number


def money(name: str, default: str) -> Decimal:
    """Return an amount in ZNC, above zero, with at most two decimals."""
    value = text(name) or default
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal(0)
    # At most ten billion ZNC, far below the maximum of a bigint of hundredths.
    if not amount.is_finite() or not 0 < amount <= 10**10 or amount != amount.quantize(Decimal("0.01")):
        raise wrong(name, value, "an amount in ZNC above 0 with at most two decimals, such as 18 or 0.50")
    return amount


def price(name: str, default: str) -> Decimal:
    """Return a price per unit in some currency, above zero, with at most six decimals."""
    value = text(name) or default
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or not 0 < amount <= 10**6 or amount != amount.quantize(Decimal("0.000001")):
        raise wrong(name, value, "a price above 0 with at most six decimals, such as 1 or 0.95")
    return amount


def currency(name: str, default: str) -> str:
    """Return the ISO 4217 code of a currency with at most two decimals."""
    value = text(name) or default
    if not is_currency(value) or value in MORE_THAN_TWO_DECIMALS:
        raise wrong(name, value, "the ISO 4217 code of a currency with at most two decimals, such as EUR or RUB")
    return value


def providers(name: str, default: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of payment providers, each once; possibly none."""
    given = words(name, default)
    if not set(given) <= set(allowed) or len(set(given)) < len(given):
        raise wrong(name, text(name), f"empty, or some of {', '.join(allowed)}, each once, separated by commas")
    return tuple(given)


def words(name: str, default: str = "") -> list[str]:
    """Return the words of a comma-separated list."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def secret(name: str, form: str, expected: str) -> str:
    """Return a secret that matches the pattern `form`, or an empty text. The error does not show the value."""
    value = text(name)
    if value and not re.fullmatch(form, value):
        raise _wrong_secret(name, expected)
    return value


def secret_words(name: str, form: str, expected: str) -> list[str]:
    """Return the secrets of a comma-separated list, which all match the pattern `form`. The error shows no value."""
    given = words(name)
    if not all(re.fullmatch(form, word) for word in given):
        raise _wrong_secret(name, f"{expected}; several are separated by commas")
    return given


def _wrong_secret(name: str, expected: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name} cannot be used: it must be {expected}.")


def rate(name: str, default: str) -> str:
    """Return a rate such as `5/hour`; an empty value switches the limit off."""
    value = text(name, default)
    if value:
        try:
            limits.parse(value)
        except ValueError as error:
            raise wrong(name, value, "a rate such as 5/hour or 100/minute, or empty for no limit") from error
    return value


def networks(name: str) -> tuple[Network, ...]:
    """Return the networks of a comma-separated list of addresses and networks."""
    result = []
    for word in words(name):
        try:
            result.append(ipaddress.ip_network(word))
        except ValueError as error:
            raise wrong(name, word, "an IP address or a network such as 10.0.0.0/8") from error
    return tuple(result)


def url(name: str, default: str = "") -> str:
    """Return an absolute http(s) URL without query, credentials and trailing slash; or an empty text."""
    value = text(name, default).rstrip("/")
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise wrong(name, value, "an absolute URL such as http://10.0.0.5:61000, without query or user name")
    return value


def host(name: str, *, scheme: str) -> str:
    """Return a host name or address in lower case, without the default port of the scheme; or an empty text."""
    value = text(name).lower()
    try:
        usable = _HOST.fullmatch(value) and urlsplit(f"//{value}").port != 0
    except ValueError:
        usable = False
    if value and not usable:
        raise wrong(name, value, "a host name such as proxy.example, with a port if it is not the default one")
    return value.removesuffix(":443" if scheme == "https" else ":80")


_HOST = re.compile(r"(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def existing_file(name: str) -> str:
    """Return the path of a file, or an empty text."""
    value = text(name)
    if value and not Path(value).is_file():
        raise wrong(name, value, "the path of an existing file")
    return value


def authorities(name: str) -> str:
    """Return the path of a file with the certificates of authorities, or an empty text."""
    path = existing_file(name)
    if path:
        try:
            ssl.create_default_context(cafile=path)
        except OSError as error:
            raise wrong(name, path, "a readable file of certificates in PEM") from error
    return path


def client_certificate(name: str, *, key_name: str) -> str:
    """Return the path of a client certificate, or an empty text. `key_name` may name another file for its key."""
    certificate, key = existing_file(name), existing_file(key_name)
    if key and not certificate:
        raise ImproperlyConfigured(f"{key_name} is set, but {name} is not. Set {name} to the certificate of the key.")
    if certificate:
        try:
            # Without a password, OpenSSL would ask for one at the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key or None, password="")
        except OSError as error:
            expected = f"a certificate in PEM, with its unencrypted key in {key_name} or in the same file"
            raise wrong(name, certificate, expected) from error
    return certificate


def fernet_keys(name: str) -> list[str]:
    """Return the Fernet keys of a comma-separated list. The error does not show them."""
    keys = words(name)
    for key in keys:
        try:
            Fernet(key)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} contains an invalid key: it must be 32 bytes in URL-safe base64. {MAKE_FERNET_KEY}"
            ) from error
    return keys


def generated_secret(path: Path, make: Callable[[], str]) -> str:
    """Return the secret in the file `path`, which is created with mode 0600 at the first start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A temporary name and a link: two processes that start at once agree on a secret, and read all of it.
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make())
        try:
            os.link(draft, path)
        except FileExistsError:
            return path.read_text().strip()
        finally:
            draft.unlink()
    return path.read_text().strip()


def service_url(name: str, scheme: str, prefix: str, *, user: str, port: int) -> str:
    """Return the URL of a service, or an empty text.

    It is `NAME`, or built from `PREFIX_SERVER` or `PREFIX_HOST`, `_PORT`, `_USER`, `_PASSWORD` and `_DB`.
    """
    given = text(name)
    if given:
        if urlsplit(given).scheme not in _SCHEMES[scheme]:
            raise wrong(name, given, f"a URL that starts with {' or '.join(_SCHEMES[scheme])}")
        return given
    host = text(f"{prefix}_SERVER") or text(f"{prefix}_HOST")
    if not host:
        return ""
    password = text(f"{prefix}_PASSWORD")
    login = text(f"{prefix}_USER", user)
    credentials = f"{quote(login, safe='')}{':' + quote(password, safe='') if password else ''}@"
    number = integer(f"{prefix}_PORT", port, low=1, high=65_535)
    database = text(f"{prefix}_DB", "0" if scheme == "redis" else "zenzefi")
    return f"{scheme}://{credentials if login or password else ''}{host}:{number}/{database}"


_SCHEMES = {"postgres": ("postgres", "postgresql", "sqlite"), "redis": ("redis", "rediss")}
