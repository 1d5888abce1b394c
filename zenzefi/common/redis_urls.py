"""The URL of Redis in one form, which every client library reads in the same way.

The libraries differ: Celery verifies the certificate of a `rediss://` server only if the query says so and ignores
`?db=`, redis-py reads a path that is not a number as database 0, and each has its own form for Unix sockets.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
# What is verified cannot be switched off: a client that verifies nothing sends its password to any server.
_FIXED = {"ssl_cert_reqs": ("required", "CERT_REQUIRED"), "ssl_check_hostname": ("true", "True")}
_HIGHEST_DATABASE = 65_535


@dataclass(frozen=True)
class RedisURL:
    """A server of Redis. `location` is the user, the password, and the host with its port or the socket's path."""

    scheme: str
    location: str
    database: int
    files: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str, ca_file: str = "") -> Self:
        """Return the server that a URL names. `ca_file` is the default of `ssl_ca_certs`.

        Raise `ValueError` with the expected form; its message does not contain the password.
        """
        parts = urlsplit(text)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError(
                "start with redis://, rediss:// (TLS) or unix://; Sentinel and clusters are not supported"
            )
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        path = parts.path if parts.scheme == "unix" else ""
        if parts.fragment or not (path or parts.hostname) or parts.port == 0:
            raise ValueError("name a host or a socket; special characters of the password must be percent-encoded")
        database = query.pop("db", "") or ("" if path else parts.path.strip("/")) or "0"
        if not database.isascii() or not database.isdigit() or int(database) > _HIGHEST_DATABASE:
            raise ValueError("name the database by its number, as in redis://host:6379/0")
        if ca_file and parts.scheme == "rediss":
            query.setdefault("ssl_ca_certs", ca_file)
        return cls(parts.scheme, parts.netloc + path, int(database), _checked(query, is_tls=parts.scheme == "rediss"))

    @property
    def client(self) -> str:
        """The URL for redis-py, with and without asyncio, and what is built on it."""
        if self.scheme == "unix":
            return f"unix://{self.location}?db={self.database}"
        return f"{self.scheme}://{self.location}/{self.database}{self._tls}"

    @property
    def limits(self) -> str:
        """The URL for the limits package."""
        return self.client.replace("unix://", "redis+unix://", 1) if self.scheme == "unix" else self.client

    @property
    def broker(self) -> str:
        """The URL for Celery."""
        if self.scheme == "unix":
            return f"redis+socket://{self.location}?virtual_host={self.database}"
        return self.client

    @property
    def _tls(self) -> str:
        if self.scheme != "rediss":
            return ""
        verified = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}
        return "?" + urlencode({**verified, **dict(self.files)}, quote_via=quote, safe="/")


def _checked(query: dict[str, str], *, is_tls: bool) -> tuple[tuple[str, str], ...]:
    """Return the files that the query names. Raise `ValueError` for any other option."""
    for name, value in query.items():
        if not is_tls and name in (*_FILES, *_FIXED):
            raise ValueError(f"be a rediss:// URL to use {name}")
        if name in _FIXED and value not in _FIXED[name]:
            raise ValueError(f"not set {name}={value}: the server's certificate and host name are always verified")
        if name in _FILES and not Path(value).is_file():
            raise ValueError(f"name an existing file in {name}")
        if name not in (*_FILES, *_FIXED):
            raise ValueError(f"not set {name}; the options are db, {', '.join(_FILES)}")
    return tuple((name, query[name]) for name in _FILES if name in query)
