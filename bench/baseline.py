"""fastapi-proxy-lib as its documentation starts it; `BENCH_UPSTREAM` names where it leads to."""

import os

from fastapi import FastAPI
from fastapi_proxy_lib.fastapi.app import reverse_http_app


def app() -> FastAPI:
    """With the client that it makes itself: one that keeps a connection for each request in flight is slower."""
    return reverse_http_app(base_url=os.environ["BENCH_UPSTREAM"])
