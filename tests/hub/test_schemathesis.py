"""Requests made up from the OpenAPI description: none is a server error, each answer has a documented shape."""

from __future__ import annotations

import pytest
from hubs import API, fill, opened
from hypothesis import HealthCheck, given, settings

from birdwatch.hub.app import make_app

schemathesis = pytest.importorskip("schemathesis")

# Does not end by itself.
ENDLESS = f"{API}/live"


@pytest.mark.slow
def test_made_up_requests_get_documented_answers(tmp_path):
    hub = opened(tmp_path)
    fill(hub)
    description = schemathesis.openapi.from_asgi(f"{API}/openapi.json", make_app(hub)).exclude(path=ENDLESS)
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) >= 16
    checks = [schemathesis.checks.not_a_server_error]
    for operation in operations:

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def check(case):
            case.call_and_validate(checks=checks)

        check()
    hub.close()
