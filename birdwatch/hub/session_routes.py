"""Routes of signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from birdwatch._version import __version__
from birdwatch.hub.access import SESSION_S, Session
from birdwatch.hub.answers import COOKIE, answer, check_csrf, errors, hub_of, may_read, session_of, signed_in

__all__ = ["router"]

router = APIRouter(tags=["session"])


class Login(BaseModel):
    """A password."""

    model_config = ConfigDict(extra="forbid")
    password: Annotated[str, Field(max_length=1000)]


@router.get("/session")
def session(request: Request) -> Response:
    """The hub's version and this browser's session; sets the cookie."""
    hub = hub_of(request)
    if not hub.access.password_set:
        # For an unknown host name nothing is revealed.
        _check_host(request)
    found = session_of(request)
    made = found or hub.access.open(signed_in=False)
    value = {
        "version": __version__,
        "public": hub.settings.public,
        "signed_in": signed_in(request),
        "password_set": hub.access.password_set,
        "csrf": made.csrf,
        "fault": hub.intake.fault,
    }
    response = answer(request, value)
    if found is None:
        _set_cookie(request, response, made)
    return response


@router.post("/login", status_code=204, responses=errors(401, 403, 429))
def login(request: Request, body: Login) -> Response:
    """Sign in. 401 for a wrong password, 429 with Retry-After after too many."""
    hub = hub_of(request)
    check_csrf(request)
    wait_s = hub.access.wait_s(request.client.host if request.client else "")
    if wait_s > 0:
        seconds = int(wait_s) + 1
        raise HTTPException(429, f"too many attempts; try again in {seconds} s", headers={"Retry-After": str(seconds)})
    if not hub.access.right(body.password):
        raise HTTPException(401, "the password is wrong")
    response = Response(status_code=204)
    _set_cookie(request, response, hub.access.open(signed_in=True))
    return response


@router.post("/logout", status_code=204, responses=errors(403))
def logout(request: Request) -> Response:
    """Sign out."""
    check_csrf(request)
    found = session_of(request)
    if found is not None:
        hub_of(request).access.end(found)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path=_path(request))
    return response


def _check_host(request: Request) -> None:
    try:
        may_read(request)
    except HTTPException as error:
        if error.status_code == 403:
            raise


def _set_cookie(request: Request, response: Response, made: Session) -> None:
    response.set_cookie(
        COOKIE,
        made.token,
        max_age=SESSION_S,
        path=_path(request),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def _path(request: Request) -> str:
    return str(request.scope.get("root_path") or "") + "/"
