"""The text of settings, and the collection of their problems."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar, cast

import environ
from django.core.exceptions import ImproperlyConfigured

from zenzefi import problems

P = ParamSpec("P")

T = TypeVar("T")

MAKE_SECRET_KEY = 'Make one with `python -c "import secrets; print(secrets.token_urlsafe(64))"`.'  # noqa: S105  (a command)
MAKE_FERNET_KEY = (
    'Make one with `python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"`.'
)

_unusable: set[str] = set()


def load_dotenv(path: Path) -> None:
    """Read `.env`. Variables of the environment take precedence."""
    problems.start()
    _unusable.clear()
    if path.is_file():
        environ.Env.read_env(path)


def wrong(name: str, value: str, expected: str) -> ImproperlyConfigured:
    """Return the error for a value that is not valid."""
    return ImproperlyConfigured(f"{name}={value!r} cannot be used: it must be {expected}.")


def is_usable(name: str) -> bool:
    """Return whether no problem was found with the value of a setting."""
    return name not in _unusable


def collecting(reader: Callable[Concatenate[str, P], T]) -> Callable[Concatenate[str, P], T]:
    """Make a reader add its error to the problems and return the default instead."""

    @wraps(reader)
    def read(name: str, *args: P.args, **options: P.kwargs) -> T:
        try:
            return reader(name, *args, **options)
        except ImproperlyConfigured as error:
            if not problems.are_collected():
                raise
            problems.add(str(error))
            _unusable.add(name)
            return reader(name, *args, **options)

    return cast("Callable[Concatenate[str, P], T]", read)


def raw_text(name: str, default: str = "") -> str:
    if name in _unusable:
        return default
    value = os.environ.get(name)
    path = os.environ.get(f"{name}_FILE")
    if not value and path:
        try:
            value = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise wrong(f"{name}_FILE", path, f"a readable file ({reason})") from error
    return default if value is None else value.strip()


@collecting
def text(name: str, default: str = "") -> str:
    """Return the setting, else the content of the file named by `NAME_FILE`, else `default`; stripped."""
    return raw_text(name, default)


def raw_words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in raw_text(name, default).split(",") if word.strip()]


@collecting
def words(name: str, default: str = "") -> list[str]:
    """Return the words of a comma-separated list."""
    return raw_words(name, default)


def wrong_secret(name: str, expected: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name} cannot be used: it must be {expected}.")
