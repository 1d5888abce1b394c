"""Middleware that serves static files, for synchronous and asynchronous handlers."""

from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # whitenoise has no types
    """WhiteNoise, which is synchronous only, without a thread hop for requests of other paths."""

    async_capable = True

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Respond with a static file, or pass the request on."""
        if not request.path_info.startswith(self.static_prefix):
            return self.get_response(request)
        return self._respond_async(request) if self._async else self._respond(request)

    async def _respond_async(self, request: HttpRequest) -> HttpResponseBase:
        response = await sync_to_async(self._read_file, thread_sensitive=False)(request)
        return response or await self.get_response(request)

    def _respond(self, request: HttpRequest) -> HttpResponseBase:
        return self._read_file(request) or self.get_response(request)

    def _read_file(self, request: HttpRequest) -> HttpResponse | None:
        """Return the file in one piece: a response that streams it would block the event loop at each chunk."""
        file = self.find_file(request.path_info) if self.autorefresh else self.files.get(request.path_info)
        if file is None:
            return None
        # A range refers to the uncompressed file.
        headers = request.META | ({"HTTP_ACCEPT_ENCODING": ""} if "HTTP_RANGE" in request.META else {})
        found = file.get_response(request.method, headers)
        body = b""
        if found.file:
            with found.file as content:
                body = content.read()
        response = HttpResponse(body, status=int(found.status), headers=dict(found.headers))
        if "Content-Type" not in dict(found.headers):
            del response["Content-Type"]
        return response
