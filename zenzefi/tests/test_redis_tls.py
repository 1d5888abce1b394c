"""One REDIS_URL, one meaning: every client of Redis verifies the server before it sends the password."""

import asyncio
import contextlib
import secrets
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import limits
import pytest
import redis.asyncio
from django_redis.cache import RedisCache
from limits.storage import storage_from_string

from proxy import revocation_pubsub
from proxy.dataplane.state.redis import RedisState
from proxy.tests.support.authority import OTHER_HOST, Authority
from zenzefi.celery import app
from zenzefi.common.redis_urls import RedisURL
from zenzefi.tests.support.redis_server import RedisServer

PASSWORD = "p@ss/word #1"
QUOTED = "p%40ss%2Fword%20%231"


def cache(url: RedisURL) -> None:
    RedisCache(url.client, {"OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 2}}).set("key", 1, timeout=5)


def rate_limits(url: RedisURL) -> None:
    storage: Any = storage_from_string(url.limits, socket_connect_timeout=2)
    storage.incr("key", 5)


def jobs(url: RedisURL) -> None:
    with app.connection_for_write(url.broker) as connection:
        connection.default_channel.client.ping()


def publisher(url: RedisURL) -> None:
    revocation_pubsub.Publisher(url.client)._client.publish("channel", b"")


def listener(url: RedisURL) -> None:
    asyncio.run(_listen(url))


async def _listen(url: RedisURL) -> None:
    async with redis.asyncio.Redis.from_url(url.client) as client, client.pubsub() as subscription:
        await subscription.subscribe("channel")
        await subscription.get_message(timeout=2)


def data_plane(url: RedisURL) -> None:
    asyncio.run(_lease(url))


async def _lease(url: RedisURL) -> None:
    state = RedisState(url.client, limits.parse("1/minute"))
    try:
        await state.lease(uuid.uuid4())
    finally:
        await state.close()


CLIENTS = [cache, rate_limits, jobs, publisher, listener, data_plane]


class FalseServer:
    """A TLS server that keeps what clients send after the handshake."""

    def __init__(self, certificate: str) -> None:
        self.received = b""
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                connection.settimeout(2)
                with self._context.wrap_socket(connection, server_side=True) as secure:
                    self.received += secure.recv(65536)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "own")


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    certificate, key, _both = authority.issue()
    with RedisServer(tmp_path_factory.mktemp("redis"), PASSWORD, (certificate, key, authority.file)) as running:
        yield running


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("problem", ["another authority", "another host", "expired"])
def test_a_false_server_does_not_get_the_password(
    client: Callable[[RedisURL], None], problem: str, authority: Authority, tmp_path: Path
) -> None:
    signer = Authority(tmp_path / "other") if problem == "another authority" else authority
    names = {"name": OTHER_HOST} if problem == "another host" else {}
    false = FalseServer(signer.issue(**names, days=-1 if problem == "expired" else 1)[2])
    url = RedisURL.parse(f"rediss://:{QUOTED}@127.0.0.1:{false.port}/0", authority.file)
    try:
        with pytest.raises(Exception, match=r"(?i)certificate|verify|ssl|StateUnavailable"):
            client(url)
    finally:
        false.stop()

    assert false.received == b""


@pytest.mark.services
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("form", ["TLS", "CA in the URL", "socket", "plain"])
def test_the_right_server_is_used_in_each_form(
    client: Callable[[RedisURL], None], form: str, server: RedisServer, authority: Authority
) -> None:
    number = secrets.randbelow(14) + 1
    texts = {
        "TLS": f"rediss://:{QUOTED}@127.0.0.1:{server.tls_port}/{number}",
        "CA in the URL": f"rediss://:{QUOTED}@127.0.0.1:{server.tls_port}?db={number}&ssl_ca_certs={authority.file}",
        "socket": f"unix://:{QUOTED}@{server.socket}?db={number}",
        "plain": f"redis://:{QUOTED}@127.0.0.1:{server.port}?db={number}",
    }
    client(RedisURL.parse(texts[form], authority.file if form == "TLS" else ""))

    assert server.last_database() == number
