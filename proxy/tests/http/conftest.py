"""Fixtures of the tests of HTTP."""

import pytest

from proxy.tests.support.header_limits import MAX_HEADER_BYTES


@pytest.fixture
def limited(gateway, recorded):
    """Return the gateway with small limits, in front of the recording upstream."""
    gateway.restart(MAX_HEADER_BYTES=MAX_HEADER_BYTES, HEADER_TIMEOUT_SECONDS=1)
    return gateway
