"""File downloads that are generated for one response."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from typing import IO

from asgiref.sync import sync_to_async
from django.http import FileResponse

_IN_MEMORY = 2**20  # bytes; larger content is written to a temporary file
_BLOCK = 2**16  # bytes


class Download(FileResponse):
    """A response with the content that `write` puts into a file.

    The content is complete before the first byte is sent. A slow client therefore does not hold up the database, and
    a failure results in an error response instead of a truncated file.
    """

    block_size = _BLOCK

    def __init__(self, write: Callable[[IO[bytes]], None], *, filename: str, content_type: str) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  (closed after iteration or by Django)
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
        """Read the file in blocks. Under ASGI, Django itself would first read all of it into memory."""
        with self._file:
            while block := await sync_to_async(self._file.read)(_BLOCK):
                yield block
