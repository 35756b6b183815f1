"""Responses of the API: JSON with an ETag, errors as one line, and checks of the session."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from birdwatch.hub.access import Session
from birdwatch.hub.hub import Hub

__all__ = [
    "COOKIE",
    "CSRF",
    "answer",
    "errors",
    "hub_of",
    "may_read",
    "may_write",
    "not_there",
    "session_of",
    "signed_in",
]

COOKIE = "birdwatch_session"
CSRF = "X-CSRF-Token"
LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1", "testserver"}


def hub_of(request: Request) -> Hub:
    """The hub of the application."""
    hub = request.app.state.hub
    assert isinstance(hub, Hub)
    return hub


def answer(request: Request, value: Any) -> Response:
    """The value as JSON; 304 where the browser has it already."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in (request.headers.get("if-none-match") or "").replace("W/", "").split(", "):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def errors(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a route that are errors, for OpenAPI: each is `{"detail": "one line"}`; 422 may be any route's."""
    schema = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
    content = {"application/json": {"schema": schema}}
    return {code: {"description": HTTPStatus(code).phrase, "content": content} for code in (*codes, 422)}


def not_there(what: str) -> HTTPException:
    """404 with a line."""
    return HTTPException(404, what)


def session_of(request: Request) -> Session | None:
    """The session of the cookie that came."""
    return hub_of(request).access.read(request.cookies.get(COOKIE))


def signed_in(request: Request) -> bool:
    """Whether this browser gave the password, or none is set."""
    hub = hub_of(request)
    if not hub.access.password_set:
        return not hub.settings.public
    session = session_of(request)
    return session is not None and session.signed_in


def may_read(request: Request) -> None:
    """Raises 401 without a session unless the hub is public, 403 for an unknown host name."""
    hub = hub_of(request)
    if not hub.access.password_set and not _host_is_ours(request):
        # A page elsewhere could make its own name point here, and read (DNS rebinding).
        raise HTTPException(403, "this hub has no password, and the request has an unknown host name; see --host-name")
    if not hub.settings.public and not signed_in(request):
        raise HTTPException(401, "sign in first: POST login")


def may_write(request: Request) -> None:
    """Raises 401 without a session, 403 without the session's CSRF token."""
    may_read(request)
    if not signed_in(request):
        raise HTTPException(401, "sign in first: POST login")
    check_csrf(request)


def check_csrf(request: Request) -> None:
    """Raises 403 without the session's CSRF token."""
    session = session_of(request)
    if session is None or request.headers.get(CSRF) != session.csrf:
        raise HTTPException(403, f"the header {CSRF} is missing or old; take the value from GET session")


def _host_is_ours(request: Request) -> bool:
    name = request.url.hostname or ""
    if name in LOOPBACK_NAMES or name in hub_of(request).settings.hosts:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    # A literal address cannot be rebound.
    return True
