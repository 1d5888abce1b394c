"""Fixtures of the proxy's tests: real servers on loopback, and sold tokens."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from access import services, token_secret
from access.models import Scope
from accounts.models import User
from billing.idempotency import Call
from conftest import fund
from proxy.dataplane import plane
from proxy.tests.support import nginx
from proxy.tests.support.faults import Link
from proxy.tests.support.processes import GatewayProcess
from proxy.tests.support.servers import (
    Gateway,
    LoopThread,
    RecordingUpstream,
    ServerThread,
    eventually,
    start_demo_upstream,
    start_gateway,
)
from proxy.tests.support.sites import Site
from proxy.tests.support.tokens import SellToken, Sold, put_on_sale
from proxy.tests.support.websockets import SocketUpstream


@pytest.fixture
def sold_token(transactional_db: None) -> SellToken:
    """Return a function that pays a token's price into a user's wallet and sells the token."""

    def sell(user: User, hours: int = 1, scope: str = Scope.FULL) -> Sold:
        fund(user, put_on_sale(hours, scope).price)
        token = services.purchase(Call(user, "test", "", None), hours, scope)
        text = token_secret.decrypt(token.ciphertext)
        assert text is not None
        return Sold(token, text)

    return sell


@pytest.fixture
def alice_token(sold_token: SellToken, alice: User) -> Sold:
    """Return a token for one hour that Alice owns."""
    return sold_token(alice)


@pytest.fixture
def bob_token(sold_token: SellToken, bob: User) -> Sold:
    """Return a token for one hour that Bob owns."""
    return sold_token(bob)


@pytest.fixture(scope="session")
def _gateway_thread(django_db_setup: None, django_db_blocker: Any) -> Iterator[ServerThread]:
    with django_db_blocker.unblock():
        thread = start_gateway()
        thread.run(plane.stop())
    yield thread
    thread.stop()


@pytest.fixture(scope="session")
def _demo_thread() -> Iterator[ServerThread]:
    thread = start_demo_upstream()
    yield thread
    thread.stop()


@pytest.fixture(scope="session")
def _upstream_loop() -> Iterator[LoopThread]:
    loop = LoopThread()
    yield loop
    loop.stop()


@pytest.fixture
def demo_upstream(_demo_thread: ServerThread) -> ServerThread:
    """Return the running demo upstream."""
    return _demo_thread


@pytest.fixture
def gateway(
    _gateway_thread: ServerThread, demo_upstream: ServerThread, transactional_db: None, settings: Any
) -> Iterator[Gateway]:
    """Yield the gateway in front of the demo upstream, with a new data plane."""
    gateway = Gateway(_gateway_thread, settings)
    gateway.restart(ZENZEFI_TARGET_URL=demo_upstream.url, BACKEND_URL=gateway.url)
    yield gateway
    gateway.stop()


@pytest.fixture(scope="session")
def _workers(django_db_setup: None) -> Iterator[list[GatewayProcess]]:
    started: list[GatewayProcess] = []
    yield started
    for process in started:
        process.end(signal.SIGTERM)


@pytest.fixture
def workers(
    _workers: list[GatewayProcess], demo_upstream: ServerThread, transactional_db: None, tmp_path_factory: Any
) -> list[GatewayProcess]:
    """Return two workers in front of the demo upstream, with shared state in Redis. Tests must leave them running."""
    if not _workers:
        put_on_sale(720, Scope.FULL)  # for the customer of the demo
        for _ in range(2):
            _workers.append(GatewayProcess(tmp_path_factory.mktemp("worker"), demo_upstream.url))
            _workers[-1].wait_ready()
    return _workers


@pytest.fixture
def start_gateway_process(transactional_db: None, tmp_path: Any) -> Iterator[Callable[..., GatewayProcess]]:
    """Yield a function that starts a gateway process with an upstream's URL and settings; kill all at the end."""
    started: list[GatewayProcess] = []

    def start(upstream_url: str, **settings: str) -> GatewayProcess:
        put_on_sale(720, Scope.FULL)  # for the customer of the demo
        if started:  # Each process prepares the demo, so they start one after the other.
            started[-1].wait_ready()
        folder = tmp_path / f"gateway-{len(started)}"
        folder.mkdir()
        started.append(GatewayProcess(folder, upstream_url, **settings))
        return started[-1]

    yield start
    for process in started:
        process.process.kill()
        process.process.wait()


@pytest.fixture
def deployed_nginx(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Yield a function that starts nginx as deployed, given the ports of two gateways, and returns its URL."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        yield lambda *gateways: stack.enter_context(nginx.as_deployed(folder, *gateways))


@pytest.fixture(scope="module")
def _sites() -> Iterator[list[Site]]:
    started: list[Site] = []
    yield started
    for site in started:
        site.gateway.end(signal.SIGTERM)
        site.link.close()
        assert "Traceback" not in site.gateway.output
        assert "never retrieved" not in site.gateway.output


@pytest.fixture
def site(
    _sites: list[Site],
    breakable: tuple[str, str],
    _upstream_loop: LoopThread,
    demo_upstream: ServerThread,
    transactional_db: None,
    tmp_path_factory: Any,
) -> Iterator[Site]:
    """Yield a gateway with a link to one service that can fail: the module's `breakable`, a setting and its URL.

    The tests of a module share the gateway. After each test the link works again and the gateway is ready.
    """
    if not _sites:
        put_on_sale(720, Scope.FULL)  # for the customer of the demo
        setting, url = breakable
        link = Link(_upstream_loop, url)
        _sites.append(Site(tmp_path_factory.mktemp("site"), demo_upstream.url, setting, link))
    site = _sites[0]
    yield site
    site.link.mend()
    eventually(site.is_ready)


@pytest.fixture
def recording_upstream(_upstream_loop: LoopThread) -> Iterator[RecordingUpstream]:
    """Yield an upstream that records bytes. `gateway.restart(ZENZEFI_TARGET_URL=…)` makes the gateway use it."""
    upstream = RecordingUpstream(_upstream_loop)
    yield upstream
    upstream.stop()


@pytest.fixture
def recorded(gateway: Gateway, recording_upstream: RecordingUpstream) -> RecordingUpstream:
    """Return the recording upstream, with the gateway in front of it."""
    gateway.restart(ZENZEFI_TARGET_URL=recording_upstream.url)
    return recording_upstream


@pytest.fixture
def socket_upstream(gateway: Gateway, _upstream_loop: LoopThread) -> Iterator[SocketUpstream]:
    """Yield an upstream for WebSockets, with the gateway in front of it."""
    upstream = SocketUpstream(_upstream_loop)
    gateway.restart(ZENZEFI_TARGET_URL=upstream.url)
    yield upstream
    upstream.stop()
