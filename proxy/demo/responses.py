"""Responses of the demo upstream that Starlette does not have."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

NO_CHUNKS: tuple[bytes, ...] = ()


class IndentedJSONResponse(JSONResponse):
    """A JSON response that people can read in a browser."""

    def render(self, content: Any) -> bytes:
        """Return the content as indented JSON."""
        return json.dumps(content, indent=2).encode() + b"\n"


class Stream(StreamingResponse):
    """A streamed response that sends no body for HEAD and may start late."""

    def __init__(
        self,
        content: AsyncIterator[bytes],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/octet-stream",
        seconds_before: float = 0.0,
    ) -> None:
        super().__init__(content, status_code, headers, media_type)
        self.seconds_before = seconds_before

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response until the client leaves."""
        if scope["method"] == "HEAD":
            self.body_iterator = _no_body()
        await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Wait, then send the response."""
        await asyncio.sleep(self.seconds_before)
        await super().stream_response(send)


async def _no_body() -> AsyncIterator[bytes]:
    for chunk in NO_CHUNKS:
        yield chunk


async def error_response(_request: Request, error: Any) -> JSONResponse:
    """Return the detail of an HTTPException as JSON."""
    return IndentedJSONResponse({"error": error.detail}, error.status_code, error.headers)
