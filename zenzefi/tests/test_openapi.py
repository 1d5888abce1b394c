"""The API against its own schema: generated requests find no 5xx and no answer that the schema does not describe."""

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

# Whether a value that the schema admits is accepted, and one that it forbids refused, is the behaviour tests' matter.
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
    """A real WSGI request closes its connection at its end, and with it the test's transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def credentials(alice: User, olga: User) -> dict[str, str]:
    """Alice's JWT, and Olga's for what only operators may do."""
    fund(alice, 10_000)
    return {"customer": issue_access(alice), "operator": issue_access(olga)}


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
def test_generated_requests(case: Any, credentials: dict[str, str]) -> None:
    who = "operator" if "/admin/" in case.path else "customer"
    case.call_and_validate(headers={"Authorization": f"Bearer {credentials[who]}"}, checks=CHECKS)
