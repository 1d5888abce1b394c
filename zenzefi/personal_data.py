"""Personal data of a user, in one archive with a JSON file per kind of data."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from typing import IO, Any

from django.core.serializers.json import DjangoJSONEncoder

from access import personal_data as access
from accounts import personal_data as accounts
from accounts.models import User
from billing import personal_data as billing
from proxy import personal_data as proxy


def write_archive(user: User, file: IO[bytes]) -> None:
    """Write a ZIP archive. Rows are written one by one, so that memory is bounded."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for app in (accounts, billing, access, proxy):
            for name, rows in app.sections(user).items():
                with archive.open(f"{name}.json", "w") as entry:
                    _write_rows(entry, rows)


def _write_rows(entry: IO[bytes], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the rows as a JSON array, one per line."""
    before = "[\n"
    for row in rows:
        text = json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False)
        entry.write(f"{before}  {text}".encode())
        before = ",\n"
    entry.write(b"[]\n" if before == "[\n" else b"\n]\n")
