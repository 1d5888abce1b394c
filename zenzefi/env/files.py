"""Settings that are files, and secrets kept in files."""

import os
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path

from zenzefi import problems
from zenzefi.env.reading import collecting, is_usable, raw_text, wrong


@collecting
def existing_file(name: str) -> str:
    """Return the path of a file, or an empty text."""
    value = raw_text(name)
    if value and not Path(value).is_file():
        raise wrong(name, value, "the path of an existing file")
    return value


@collecting
def authorities(name: str) -> str:
    """Return the path of a file with the certificates of authorities, or an empty text."""
    path = existing_file(name)
    if path:
        try:
            ssl.create_default_context(cafile=path)
        except OSError as error:
            raise wrong(name, path, "a readable file of certificates in PEM") from error
    return path


@collecting
def client_certificate(name: str, *, key_name: str) -> str:
    """Return the path of a client certificate, or an empty text. `key_name` may name another file for its key."""
    certificate, key = existing_file(name), existing_file(key_name)
    if key and not certificate and is_usable(name):
        problems.add(f"{key_name} is set, but {name} is not. Set {name} to the certificate of the key.")
    if certificate:
        try:
            # Without a password, OpenSSL would ask for one at the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key or None, password="")
        except OSError as error:
            expected = f"a certificate in PEM, with its unencrypted key in {key_name} or in the same file"
            raise wrong(name, certificate, expected) from error
    return certificate


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
