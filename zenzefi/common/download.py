"""A file made for one answer."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from typing import IO

from asgiref.sync import sync_to_async
from django.http import FileResponse

_IN_MEMORY = 2**20  # bytes; what is larger goes through a file
_BLOCK = 2**16


class Download(FileResponse):
    """What `write` puts into a file.

    It is complete before its first byte is sent: the pace of a client does not hold up the database, and what fails
    is an error instead of a file that ends early.
    """

    block_size = _BLOCK

    def __init__(self, write: Callable[[IO[bytes]], None], *, filename: str, content_type: str) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  (closed once it is read, or by Django)
        try:
            write(self._file)
        except BaseException:
            self._file.close()
            raise
        self._file.seek(0)
        super().__init__(self._file, as_attachment=True, filename=filename, content_type=content_type)

    def __iter__(self) -> Iterator[bytes]:
        with self._file:
            yield from super().__iter__()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Under ASGI Django would read the whole file into memory first."""
        with self._file:
            while block := await sync_to_async(self._file.read)(_BLOCK):
                yield block
