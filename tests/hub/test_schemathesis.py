"""Requests made up from the OpenAPI description: none is a server error, each answer is one that is documented."""

from __future__ import annotations

from pathlib import Path

import pytest
from hubs import API, fill, opened
from hypothesis import HealthCheck, given, settings

from birdwatch.hub.app import make_app

schemathesis = pytest.importorskip("schemathesis")

# Does not end by itself.
ENDLESS = f"{API}/live"
PASSWORD = "correct horse"


@pytest.mark.slow
@pytest.mark.parametrize("who", ["no password is set", "signed in", "not signed in", "a visitor of a public hub"])
def test_made_up_requests_get_documented_answers(tmp_path: Path, who: str) -> None:
    hub = opened(tmp_path, public="public" in who)
    fill(hub)
    app = make_app(hub)
    if who != "no password is set":
        hub.access.set_password(PASSWORD)
    description = schemathesis.openapi.from_asgi(f"{API}/openapi.json", app).exclude(path=ENDLESS)
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) >= 17
    named = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
    checks = schemathesis.checks.CHECKS.get_by_names(named)
    answers: dict[tuple[str, str], set[int]] = {}
    for operation in operations:

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def check(case):  # type: ignore[no-untyped-def]
            # Each has a session of its own: one of them signs out.
            session = hub.access.open(signed_in=who == "signed in")
            case.headers = {**(case.headers or {}), "X-CSRF-Token": session.csrf}
            answer = case.call_and_validate(checks=checks, cookies={"birdwatch_session": session.token})
            answers.setdefault((case.method, case.path), set()).add(answer.status_code)

        check()
    open_to_all = {("GET", f"{API}/session"), ("POST", f"{API}/login"), ("POST", f"{API}/logout")}
    for (method, path), codes in answers.items():
        closed = who == "not signed in" or (who == "a visitor of a public hub" and method != "GET")
        if closed and (method, path) not in open_to_all:
            assert not {code for code in codes if code < 400}, (method, path)
    hub.close()
