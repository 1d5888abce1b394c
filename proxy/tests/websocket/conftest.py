"""Fixtures of the tests of WebSockets."""

import pytest

from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import websocket_tasks


@pytest.fixture
def nothing_left(gateway, socket_upstream):
    """Check after the test that no relay, no task and no WebSocket of the upstream is left."""
    yield
    eventually(lambda: len(gateway.plane.in_flight) == 0)
    eventually(lambda: websocket_tasks(gateway) == [])
    eventually(lambda: socket_upstream.open == 0)
