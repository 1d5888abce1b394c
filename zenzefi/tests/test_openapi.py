"""Generated requests against the schema of the API find no 5xx and no undocumented response."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, settings
from schemathesis import checks

from accounts.jwt import issue_access
from accounts.models import User
from conftest import fund

# Other tests check which values are accepted and which are rejected.
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
    checks.ignored_auth,
    checks.allow_header_conformance,
]

schema = schemathesis.openapi.from_wsgi("/api/schema?format=json", get_wsgi_application())


@pytest.fixture(autouse=True)
def _keep_the_connection(db: None) -> Iterator[None]:
    """Keep the connection open: a real WSGI request would close it, and with it the transaction of the test."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def credentials(alice: User, olga: User) -> dict[str, str]:
    """Return the JWTs of Alice and, for administration, of Olga."""
    fund(alice, 10_000)
    return {"customer": issue_access(alice), "operator": issue_access(olga)}


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
def test_generated_requests(case: Any, credentials: dict[str, str]) -> None:
    who = "operator" if "/admin/" in case.path else "customer"
    case.call_and_validate(headers={"Authorization": f"Bearer {credentials[who]}"}, checks=CHECKS)
