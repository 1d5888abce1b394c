"""fastapi-proxy-lib, started as its documentation shows; `BENCH_UPSTREAM` is the URL of its upstream."""

import os

from fastapi import FastAPI
from fastapi_proxy_lib.fastapi.app import reverse_http_app


def app() -> FastAPI:
    """Return the proxy with its own default client. A client with a connection per request in flight is slower."""
    return reverse_http_app(base_url=os.environ["BENCH_UPSTREAM"])
