"""A running demo upstream and a client of it."""

import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import uvicorn

from proxy.demo.app import application


@pytest.fixture(scope="package")
def upstream() -> Iterator[uvicorn.Server]:
    """Run the demo upstream in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application, port=listener.getsockname()[1], log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield server
    server.should_exit = True
    thread.join(timeout=5)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture
async def client(upstream: uvicorn.Server) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client of the demo upstream that does not keep cookies."""
    base = f"http://127.0.0.1:{upstream.config.port}"
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(base, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session
