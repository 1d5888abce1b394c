"""Static files from where they lie: named by their content's hash, compressed, with nothing collected."""

import gzip
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from posixpath import splitext
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from whitenoise.middleware import WhiteNoiseMiddleware

_HASHED = re.compile(r"\.[0-9a-f]{12}(?=\.[^./]+$)")
_COMPRESSIBLE = frozenset({".css", ".js", ".svg", ".json", ".txt", ".map"})


class Storage(StaticFilesStorage):
    """`{% static "site.css" %}` is `/static/site.0123456789ab.css`: another content is another address."""

    def url(self, name: str | None) -> str:
        stem, suffix = splitext(f"{name}")
        return super().url(f"{stem}.{_digest(stem + suffix)}{suffix}")


class Assets(WhiteNoiseMiddleware):  # type: ignore[misc]  # whitenoise has no types
    """WhiteNoise, which then takes a file with a hash in its name for immutable; native to both worlds."""

    async_capable = True

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        self._known: dict[str, Any] = {}
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if not request.path_info.startswith(self.static_prefix):
            return self.get_response(request)
        return self._answer_async(request) if self._async else self._answer(request)

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        found = await sync_to_async(self._serve, thread_sensitive=False)(request)
        return found or await self.get_response(request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        return self._serve(request) or self.get_response(request)

    def _serve(self, request: HttpRequest) -> HttpResponseBase | None:
        file = self.find_file(request.path_info)
        return _compressed(self.serve(file, request), request) if file else None

    def find_file(self, url: str) -> Any:
        """Looked up once; what is not there is not remembered, lest strangers fill the memory."""
        if url not in self._known:
            if (found := super().find_file(url)) is None:
                return None
            self._known[url] = found
        return self._known[url]

    def candidate_paths_for_url(self, url: str) -> Any:
        name = url.removeprefix(self.static_prefix)
        plain = finders.find(self.get_name_without_hash(name))
        if plain and self.immutable_file_test(plain, url):
            yield plain
        yield from super().candidate_paths_for_url(url)

    def get_name_without_hash(self, filename: str) -> str:
        return _HASHED.sub("", filename)


def _compressed(response: HttpResponseBase, request: HttpRequest) -> HttpResponseBase:
    # A part of a file and an answer without a body have no name.
    path = Path(getattr(getattr(response, "file_to_stream", None), "name", ""))
    if path.suffix not in _COMPRESSIBLE:
        return response
    patch_vary_headers(response, ("Accept-Encoding",))
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return response
    response.close()
    answer = HttpResponse(_gzipped(path), headers=dict(response.items()))
    answer["Content-Encoding"] = "gzip"
    answer["Content-Length"] = str(len(answer.content))
    return answer


@lru_cache(maxsize=256)
def _gzipped(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)


@lru_cache(maxsize=1024)
def _digest(name: str) -> str:
    if not (path := finders.find(name)):
        raise FileNotFoundError(f"There is no static file {name}")
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]
